import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { addDeadLetters } from './dead-letters.ts';
import { addDeviceCommands } from './device.ts';
import { addDoctor } from './doctor.ts';
import { addEvents } from './events.ts';
import { describeFailure, EXIT, exitCodeOf } from './failure.ts';
import { addReleaseCommands } from './release.ts';
import { addRolloutCommands } from './rollout.ts';
import { addServiceCommands } from './service.ts';
import { ROOT } from './target.ts';

// The SDK's notice about future Node versions is for maintainers, not for operators.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';

const HELP = `
Acts on the local system that runs here (npm start; PAKU_OTA_HOME names its folder), else on a deployment in
AWS: stack PakuOta, with the credentials and region that other AWS tools use. --local, --aws, --profile, --region
and --stack of each command say otherwise.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage.`;

const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };

const program = new Command('paku-ota')
  .description('Firmware updates for ESP32 fleets')
  .version(version)
  .enablePositionalOptions()
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : EXIT.usage))
  .showHelpAfterError('(--help shows the options)')
  .addHelpText('after', HELP);

addReleaseCommands(program);
addDeviceCommands(program);
addRolloutCommands(program);
addServiceCommands(program);
addEvents(program);
addDeadLetters(program);
addDoctor(program);

try {
  await program.parseAsync();
} catch (error) {
  const [first = '', ...more] = describeFailure(error);
  console.error([`paku-ota: ${first}`, ...more.map((line) => `  ${line}`)].join('\n'));
  process.exitCode = exitCodeOf(error);
}
