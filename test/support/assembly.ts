import { fileURLToPath } from 'node:url';

/** Where the suite synthesizes to, once a run. */
export const ASSEMBLY = fileURLToPath(new URL('../../cdk.out', import.meta.url));
