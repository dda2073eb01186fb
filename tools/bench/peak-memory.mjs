// Says how much memory a fresh process had at most, in KiB, that let a function handle an event. Plain JavaScript: nothing
// else is loaded before.
import { existsSync, readFileSync } from 'node:fs';

const { handler } = await import(process.argv[2]);
await handler(JSON.parse(readFileSync(process.argv[3], 'utf8')), { awsRequestId: 'bench' });
console.log(`\n${peakKiB()}`);
process.exit(0);

/** Linux hands a process the peak of the one that started it, but for what /proc says. */
function peakKiB() {
  const status = existsSync('/proc/self/status') ? readFileSync('/proc/self/status', 'utf8') : '';
  return /VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? process.resourceUsage().maxRSS;
}
