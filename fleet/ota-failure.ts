/** What each `result_code` of an OTA result means, in the words that devices send. */
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

/** An update that ends without a new image: the code and the words that the device sends, and why, for a reader. */
export class OtaFailure extends Error {
  override readonly name = 'OtaFailure';

  constructor(
    readonly code: Exclude<ResultCode, 0>,
    why: string,
    readonly sentMessage: string = RESULT_MESSAGES[code],
  ) {
    super(why);
  }
}
