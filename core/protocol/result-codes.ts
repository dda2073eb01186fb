import { runsRelease } from './versions.ts';

/**
 * Why a device update ended without success, or how an attempt failed. Only what the build did counts towards halting a
 * rollout; silence counts beyond what other devices show in the same time.
 */
export const CAUSES = ['build', 'silence', 'delivery', 'declined', 'not_reached'] as const;
export type Cause = (typeof CAUSES)[number];

interface ResultCode {
  readonly code: number;
  readonly name: string;
  /** Where the device had opened its link: what the result speaks of. A device that never had our bytes failed at delivery. */
  readonly cause: Cause | null;
  /** True if the same release may well succeed at another attempt. */
  readonly isTransient: boolean;
}

/** The result codes of the field firmware (OtaClient). A damaged download often ends as 4, since `Update.end` checks the image first. */
export const RESULT_CODES = [
  { code: 0, name: 'success', cause: null, isTransient: false },
  { code: 1, name: 'Wi-Fi not connected', cause: 'delivery', isTransient: true },
  { code: 2, name: 'download failed', cause: 'delivery', isTransient: true },
  { code: 3, name: 'verification failed', cause: 'build', isTransient: false },
  { code: 4, name: 'install failed', cause: 'build', isTransient: true },
  { code: 5, name: 'no OTA partition', cause: 'build', isTransient: false },
  { code: 6, name: 'invalid URL', cause: 'delivery', isTransient: false },
  { code: 7, name: 'timeout', cause: 'delivery', isTransient: true },
  { code: 8, name: 'not enough space', cause: 'build', isTransient: false },
  { code: 9, name: 'invalid firmware', cause: 'build', isTransient: false },
  { code: 10, name: 'another update is running', cause: 'declined', isTransient: true },
  { code: 11, name: 'rollback failed', cause: 'build', isTransient: false },
] as const satisfies readonly ResultCode[];

/** The checksum or the signature of the image did not match. Some firmware boots such an image all the same. */
export const VERIFICATION_FAILED = 3;

/**
 * True if a device that now runs `target` runs bytes that it had found to be wrong. A device that ran the version before
 * has kept what it ran.
 */
export const isUnverifiedBoot = (code: number | null, previous: string | null, target: string): boolean =>
  code === VERIFICATION_FAILED && (previous === null || !runsRelease(previous, target));

/** The device is busy or does not want the update now. It says nothing about the update that runs. */
export const ALREADY_RUNNING = 10;

const byCode = new Map<number, ResultCode>(RESULT_CODES.map((entry) => [entry.code, entry]));

/** The name of a code with the code, such as "verification failed (3)"; a code outside the table is only its number. */
export function describeResultCode(code: number | null): string {
  if (code === null) return 'a failure without a result code';
  const known = byCode.get(code);
  return known === undefined ? `result code ${code}` : `${known.name} (${code})`;
}

/**
 * The cause of a failed result. Codes outside the table come from HTTP and TLS libraries, so they are a matter of
 * delivery, and so is every failure of a device that never opened its link.
 */
export function causeOfResult(code: number | null, linkOpened: boolean): Cause {
  const cause = code === null ? 'delivery' : (byCode.get(code)?.cause ?? 'delivery');
  return cause === 'build' && !linkOpened ? 'delivery' : cause;
}

/** True if another attempt may succeed. Codes outside the table may. */
export const isTransientResult = (code: number | null, linkOpened: boolean): boolean =>
  !linkOpened || code === null || (byCode.get(code)?.isTransient ?? true);

/** The name of a code that may be anything a device sent; null if it is not a number. */
export const resultText = (code: unknown): string | null =>
  typeof code === 'number' ? describeResultCode(code) : null;
