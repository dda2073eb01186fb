import { parseArgs } from 'node:util';
import { MATRIX_USAGE, runMatrix } from './matrix.ts';
import { BUILD_NAMES, DEFAULT_STORY, playStory, type Story, type StoryOptions } from './story.ts';

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';

const USAGE = `npm run simulate -- [options]
The rollout policy and its SQL on a simulated fleet, with virtual time. The same seed gives the same story.

  --devices N        size of the fleet (${DEFAULT_STORY.devices})
  --build B          ${BUILD_NAMES.join(' | ')} (${DEFAULT_STORY.build})
  --seed N           (${DEFAULT_STORY.seed})
  --sleepers S       share of devices that sleep (${DEFAULT_STORY.sleepers})
  --sleep-from N     shortest sleep, minutes (${DEFAULT_STORY.sleepFrom})
  --sleep-to N       longest sleep, minutes (${DEFAULT_STORY.sleepTo})
  --newer-family S   share that listens on {prefix}/edge/… only (${DEFAULT_STORY.newerFamily})
  --flaky S          share of downloads that fail (${DEFAULT_STORY.flaky})
  --broken S         share of devices that can never be updated (${DEFAULT_STORY.broken})
  --loss S           share of devices' messages that get lost (${DEFAULT_STORY.loss})
  --power-loss S     share of devices that lose their power for good within 12 hours (${DEFAULT_STORY.powerLoss})
  --growth S         share of devices that register later, within 4 hours (${DEFAULT_STORY.growth})
  --no-uptime S      share of devices whose statuses have no uptime (${DEFAULT_STORY.noUptime})
  --rollback-hours N for rolls-back-later: hours after which a device is rolled back (${DEFAULT_STORY.rollbackHours})
  --days N           simulated days at most (${DEFAULT_STORY.days})

${MATRIX_USAGE}`;

function readOptions(): StoryOptions | undefined {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    options: {
      help: { type: 'boolean' },
      devices: text,
      build: text,
      seed: text,
      sleepers: text,
      'sleep-from': text,
      'sleep-to': text,
      'newer-family': text,
      flaky: text,
      broken: text,
      loss: text,
      'power-loss': text,
      growth: text,
      'no-uptime': text,
      'rollback-hours': text,
      days: text,
    },
  });
  if (values.help) return undefined;
  const number = (name: keyof typeof values, fallback: number) => {
    const value = values[name] === undefined ? fallback : Number(values[name]);
    if (!Number.isFinite(value) || value < 0)
      throw new Error(`--${name} ${values[name]}: expected a number of 0 or more`);
    return value;
  };
  const build = BUILD_NAMES.find((name) => name === (values.build ?? DEFAULT_STORY.build));
  if (build === undefined) throw new Error(`--build ${values.build}: expected one of ${BUILD_NAMES.join(', ')}`);
  return {
    build,
    devices: number('devices', DEFAULT_STORY.devices),
    seed: number('seed', DEFAULT_STORY.seed),
    sleepers: number('sleepers', DEFAULT_STORY.sleepers),
    sleepFrom: number('sleep-from', DEFAULT_STORY.sleepFrom),
    sleepTo: number('sleep-to', DEFAULT_STORY.sleepTo),
    newerFamily: number('newer-family', DEFAULT_STORY.newerFamily),
    flaky: number('flaky', DEFAULT_STORY.flaky),
    broken: number('broken', DEFAULT_STORY.broken),
    loss: number('loss', DEFAULT_STORY.loss),
    powerLoss: number('power-loss', DEFAULT_STORY.powerLoss),
    growth: number('growth', DEFAULT_STORY.growth),
    rollbackHours: number('rollback-hours', DEFAULT_STORY.rollbackHours),
    noUptime: number('no-uptime', DEFAULT_STORY.noUptime),
    days: number('days', DEFAULT_STORY.days),
  };
}

function print(options: StoryOptions, story: Story): void {
  const share = (devices: number) =>
    `${devices} of ${options.devices} (${((devices / options.devices) * 100).toFixed(2)}%)`;
  console.log(
    Object.entries(options)
      .map(([name, value]) => `${name} ${value}`)
      .join(', '),
  );
  for (const { minute, type, payload } of story.events) {
    const time = `${String(Math.floor(minute / 60)).padStart(4)} h ${String(minute % 60).padStart(2, '0')}`;
    console.log(`${time}  ${type.replaceAll('_', ' ')}  ${JSON.stringify(payload)}`);
  }
  console.log(`${story.ended} after ${story.hours.toFixed(1)} h${story.reason === null ? '' : `: ${story.reason}`}`);
  console.log(
    `reached ${share(story.reached)}; on the new version ${share(story.onTarget)}; late rollbacks ${story.lateRollbacks}`,
  );
  console.log(
    Object.entries(story.states)
      .map(([state, devices]) => `${state} ${devices}`)
      .join(', '),
  );
  for (const { status, reason, devices } of story.reasons)
    console.log(`  ${String(devices).padStart(5)} attempts ${status}: ${reason}`);
}

try {
  if (process.argv[2] === '--matrix') process.exit(await runMatrix(process.argv.slice(3)));
  const options = readOptions();
  if (options === undefined) console.log(USAGE);
  else print(options, await playStory(options));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
