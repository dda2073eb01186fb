import { fileURLToPath } from 'node:url';

/** The folder of this package: package.json, docs/ and schema/ are read from it. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
