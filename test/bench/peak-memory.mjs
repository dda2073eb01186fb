// Says how much memory a fresh process had at most, in KiB, that let a function handle an event. Plain JavaScript: nothing
// else is loaded before.
import { readFileSync } from 'node:fs';

const { handler } = await import(process.argv[2]);
await handler(JSON.parse(readFileSync(process.argv[3], 'utf8')), { awsRequestId: 'bench' });
console.log(`\n${process.resourceUsage().maxRSS}`);
process.exit(0);
