import { appendFileSync, renameSync, writeFileSync } from 'node:fs';

/** Writes a file for its owner only. A reader, and a crash, see the old text or the new one, never half of it. */
export function writeWhole(file: string, text: string): void {
  writeFileSync(`${file}.new`, text, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

/**
 * Adds to a log, for its owner only. A full disk takes what is said, not who says it.
 * @returns false where it could not be written
 */
export function appendAnyway(file: string, text: string): boolean {
  try {
    appendFileSync(file, text, { mode: 0o600 });
    return true;
  } catch {
    return false;
  }
}
