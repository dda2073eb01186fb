import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { addCost } from './commands/cost/cost-command.ts';
import { addDeviceCommands } from './commands/device/device-commands.ts';
import { addDoctor } from './commands/doctor/doctor-command.ts';
import { addReleaseCommands } from './commands/release/release-commands.ts';
import { addRolloutCommands } from './commands/rollout/rollout-commands.ts';
import { addConsole } from './commands/service/console.ts';
import { addDeadLetters } from './commands/service/dead-letters.ts';
import { addEvents } from './commands/service/events.ts';
import { addServiceCommands } from './commands/service/service-commands.ts';
import { EXIT } from './session/failure.ts';
import { ROOT } from './session/target.ts';

const HELP = `
Acts on the local system that runs here (npm start; PAKU_OTA_HOME names its folder), else on a deployment in
AWS: stack PakuOta, with the credentials and region that other AWS tools use. --local, --aws, --profile, --region
and --stack of each command say otherwise.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage.`;

/** Every command, ready to parse. */
export function makeProgram(): Command {
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
  addConsole(program);
  addDoctor(program);
  addCost(program);

  return program;
}
