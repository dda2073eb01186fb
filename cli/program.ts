import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { addConsole } from './console.ts';
import { addCost } from './cost.ts';
import { addDeadLetters } from './dead-letters.ts';
import { addDeviceCommands } from './device.ts';
import { addDoctor } from './doctor.ts';
import { addEvents } from './events.ts';
import { EXIT } from './failure.ts';
import { addReleaseCommands } from './release.ts';
import { addRolloutCommands } from './rollout.ts';
import { addServiceCommands } from './service.ts';
import { ROOT } from './target.ts';

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
