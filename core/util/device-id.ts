/** A device id is an AWS IoT thing name, of half the length that AWS allows: the command must fit a small packet. */
export const DEVICE_ID = /^[A-Za-z0-9_:-]{1,64}$/;

/** The same, for who got it wrong. */
export const DEVICE_ID_FORM = '1 to 64 of A-Z a-z 0-9 _ : -';
