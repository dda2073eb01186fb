import { type BehindRules, rolloutBehindRules } from './behind-rules.ts';
import { type Benchmark, number, table } from './bench.ts';
import { type OverSockets, rolloutOverSockets } from './over-sockets.ts';

const share = (part: number, all: number) => `${Math.round((100 * part) / all)} %`;

function socketsPage(figures: OverSockets): string {
  const { cpu, devices, imageBytes, devicesAMinute, seconds, registeringSeconds, secondAttempts } = figures;
  const busy = cpu.runtime + cpu.fleet + cpu.others;
  const phases = figures.phases.map(({ phase, medianSeconds, p95Seconds }) => [
    phase,
    number(medianSeconds),
    number(p95Seconds),
  ]);
  return `One rollout to everyone at once, from its row to the last confirmed update, on the whole local runtime with a tick each 5 s and a
PostgreSQL server: ${number(devices)} virtual devices, in processes of their own, each with an MQTT connection over TLS and a client
certificate. Each is told as soon as it is assigned or at its next heartbeat (60 s), downloads ${number(imageBytes / 1000)} KB over HTTP, reboots and
connects anew.

**${number(devicesAMinute)} devices a minute**, ${number(seconds)} s in all; connecting and registering them took ${number(registeringSeconds)} s.
${number(secondAttempts)} needed a second attempt, ${number(figures.failed)} failed; ${number(figures.refusedConnections)} connections were refused and tried again. By the
broker's clock, in seconds:

${table(['an update is', 'median', '95 %'], phases)}

The machine's processors worked ${share(busy, busy + cpu.idle)} of that time: ${share(cpu.runtime, busy)} of it for broker, endpoints and functions (one process, which took
${number(cpu.runtime / seconds)} cores),
${share(cpu.fleet, busy)} for the fleet, ${share(cpu.others, busy)} for the database server and all else.`;
}

export const socketsBenchmark: Benchmark<OverSockets> = {
  name: 'sockets',
  title: 'Whole system: a rollout to devices on connections',
  run: rolloutOverSockets,
  page: socketsPage,
};

function rulesPage(figures: BehindRules): string {
  const { devices, devicesAMinute, seconds, ticks, statements, messages, registeringSeconds } = figures;
  const spent = Object.entries(figures.spent).map(([what, took]) => [what, number(took), share(took, seconds)]);
  return `One rollout to ${number(devices)} devices at once that exist as what they say only, from its row to the last confirmed update: the
orchestrator's ticks, a heartbeat of each assigned device, its command and the five messages that follow, all through the
bundles, in batches as the event source mappings make them, one step after the other.

**${number(devicesAMinute)} devices a minute**, ${number(seconds)} s and ${number(ticks)} ticks in all, ${number(statements)} statements for ${number(messages)} messages and ${number(devices)} commands.
Registering the devices took ${number(registeringSeconds)} s.

${table(['function', 's', 'share'], spent)}

On AWS the tick comes once a minute and assigns 5,000 devices of a rollout at most: that is the limit there, not these figures.`;
}

export const rulesBenchmark: Benchmark<BehindRules> = {
  name: 'rules',
  title: 'Whole system: a rollout behind the topic rules',
  run: rolloutBehindRules,
  page: rulesPage,
};
