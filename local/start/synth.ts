import { synthesizeNow } from './synthesize.ts';

/** `npm run synth`: templates and bundles into cdk.out, which `npm start` and the tests then use as they are. */
process.exitCode = await synthesizeNow(process.argv.slice(2));
