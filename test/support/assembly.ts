import { fileURLToPath } from 'node:url';

/** Folder of the cloud assembly, which the suite synthesizes once per run. */
export const ASSEMBLY = fileURLToPath(new URL('../../cdk.out', import.meta.url));
