import { appendFileSync, renameSync, writeFileSync } from 'node:fs';

/** Replaces a file that only its owner may read. Readers see the old text or the new one, also after a crash. */
export function writeFileAtomically(file: string, text: string): void {
  writeFileSync(`${file}.new`, text, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

/**
 * Appends to a log that only its owner may read. A full disk loses the text but throws nothing.
 * @returns false if the text was not written
 */
export function tryAppend(file: string, text: string): boolean {
  try {
    appendFileSync(file, text, { mode: 0o600 });
    return true;
  } catch {
    return false;
  }
}
