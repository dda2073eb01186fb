// Prints the peak memory in KiB of a new process in which a function handles an event. It is JavaScript so that nothing
// is loaded before.
import { existsSync, readFileSync } from 'node:fs';

const { handler } = await import(process.argv[2]);
await handler(JSON.parse(readFileSync(process.argv[3], 'utf8')), { awsRequestId: 'bench' });
console.log(`\n${peakKiB()}`);
process.exit(0);

/** Peak memory of this process from /proc. On Linux, getrusage can return the peak of the parent process. */
function peakKiB() {
  const status = existsSync('/proc/self/status') ? readFileSync('/proc/self/status', 'utf8') : '';
  return /VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? process.resourceUsage().maxRSS;
}
