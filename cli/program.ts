import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { addCost } from './commands/cost/index.ts';
import { addDeviceCommands } from './commands/device/index.ts';
import { addDoctor } from './commands/doctor/index.ts';
import { addIssueCommands, addReleaseCommands } from './commands/release/index.ts';
import { addRolloutCommands } from './commands/rollout/index.ts';
import { addServiceCommands } from './commands/service/index.ts';
import { addUninstall } from './commands/uninstall/index.ts';
import { addTargetOptions, EXIT, ProgramCommand, passOptionsDown, ROOT } from './session/index.ts';

const HELP = `
Acts on the local system that runs here (npm start; PAKU_OTA_HOME names its folder), else on a deployment in
AWS: stack PakuOta, with the credentials and region that other AWS tools use. --local, --aws, --profile, --region
and --stack say otherwise, before or after the command.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage.`;

/** The program with all its commands. */
export function makeProgram(): Command {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };

  const program = new ProgramCommand('paku-ota')
    .description('Firmware updates for ESP32 fleets')
    .version(version)
    .enablePositionalOptions()
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : EXIT.usage))
    .showHelpAfterError('(--help shows the options)')
    .addHelpText('after', HELP)
    .hook('preAction', (_, command) => passOptionsDown(command));
  addTargetOptions(program);

  addReleaseCommands(program);
  addIssueCommands(program);
  addDeviceCommands(program);
  addRolloutCommands(program);
  addServiceCommands(program);
  addDoctor(program);
  addUninstall(program);
  addCost(program);

  return program;
}
