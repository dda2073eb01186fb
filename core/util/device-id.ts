/**
 * A device id is an AWS IoT thing name of at most half the length that AWS allows, so that the command fits into a
 * small packet.
 */
export const DEVICE_ID = /^[A-Za-z0-9_:-]{1,64}$/;

/** The same as text, for error messages. */
export const DEVICE_ID_FORM = '1 to 64 of A-Z a-z 0-9 _ : -';
