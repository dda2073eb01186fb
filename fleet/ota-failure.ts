/** The message of each `result_code` of an OTA result, as devices send it. */
export const RESULT_MESSAGES = {
  0: 'Success',
  1: 'WiFi not connected',
  2: 'Download failed',
  3: 'Verification failed',
  4: 'Install failed',
  5: 'No partition',
  6: 'Invalid URL',
  7: 'Timeout',
  8: 'Insufficient space',
  9: 'Invalid firmware',
  10: 'Already running',
  11: 'Rollback failed',
} as const;

/** The `result_code` of an OTA result. */
export type ResultCode = keyof typeof RESULT_MESSAGES;

/** A failed installation: the code and the message that the device sends, and a reason for people. */
export class OtaFailure extends Error {
  override readonly name = 'OtaFailure';

  constructor(
    readonly code: Exclude<ResultCode, 0>,
    reason: string,
    readonly sentMessage: string = RESULT_MESSAGES[code],
  ) {
    super(reason);
  }
}
