import { type BehindRules, rolloutBehindRules } from './behind-rules.ts';
import { type Benchmark, number, table } from './bench.ts';
import { type OverSockets, rolloutOverSockets } from './over-sockets.ts';

interface Figures {
  readonly behind: BehindRules;
  readonly sockets: OverSockets;
}

async function run(log: (line: string) => void): Promise<Figures> {
  const behind = await rolloutBehindRules(log);
  log(JSON.stringify(behind));
  return { behind, sockets: await rolloutOverSockets(log) };
}

const share = (part: number, all: number) => `${Math.round((100 * part) / all)} %`;

function page({ behind, sockets }: Figures): string {
  const { cpu } = sockets;
  const busy = cpu.runtime + cpu.fleet + cpu.others;
  const phases = sockets.phases.map(({ phase, medianSeconds, p95Seconds }) => [
    phase,
    number(medianSeconds),
    number(p95Seconds),
  ]);
  const spent = Object.entries(behind.spent).map(([what, seconds]) => [
    what,
    number(seconds),
    share(seconds, behind.seconds),
  ]);
  return `One rollout to everyone at once, from its row to the last confirmed update.

**${number(sockets.devices)} devices with connections of their own** (MQTT over TLS with client certificates, in processes of their own; each
downloads ${number(sockets.imageBytes / 1000)} KB over HTTP, reboots and connects anew), on the whole local runtime with a tick each 5 s: **${number(sockets.devicesAMinute)} devices a minute**,
${number(sockets.seconds)} s in all. Registering them took ${number(sockets.registeringSeconds)} s. ${number(sockets.secondAttempts)} needed a second attempt, ${number(sockets.failed)} failed;
${number(sockets.refusedConnections)} connections were refused and tried again. By the broker's clock, in seconds:

${table(['an update is', 'median', '95 %'], phases)}

The machine's processors worked ${share(busy, busy + cpu.idle)} of that time: ${share(cpu.runtime, busy)} of it for broker, endpoints and functions (one process),
${share(cpu.fleet, busy)} for the fleet, ${share(cpu.others, busy)} for the database server and all else.

**${number(behind.devices)} devices behind the topic rules**, which exist as what they say only: the orchestrator's ticks, commands and six
messages of each device through the bundles, in batches as the event source mappings make them, one step after the other:
**${number(behind.devicesAMinute)} devices a minute**, ${number(behind.seconds)} s and ${number(behind.ticks)} ticks in all, ${number(behind.statements)} statements for ${number(behind.messages)} messages
(${number((behind.statements / behind.messages) * 1000)} for a thousand). Registering them took ${number(behind.registeringSeconds)} s.

${table(['function', 's', 'share'], spent)}

On AWS the tick comes once a minute and claims 5,000 devices of a rollout at most: that is its limit there, whatever the machines.`;
}

export const systemBenchmark: Benchmark<Figures> = {
  name: 'system',
  title: 'Whole system: one rollout',
  run,
  page,
};
