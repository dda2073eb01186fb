import { renameSync, writeFileSync } from 'node:fs';

/** Writes a file for its owner only. A reader, and a crash, see the old text or the new one, never half of it. */
export function writeWhole(file: string, text: string): void {
  writeFileSync(`${file}.new`, text, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}
