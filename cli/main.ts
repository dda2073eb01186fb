import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { describeDevice } from './device-files.ts';
import { addDeviceOnAws } from './device-on-aws.ts';
import { addLocalDevice } from './local-device.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

interface AddOptions {
  readonly json?: boolean;
  readonly aws?: boolean;
  readonly region?: string;
  readonly profile?: string;
  readonly stack: string;
  readonly out?: string;
}

const program = new Command('paku-ota')
  .description('Firmware updates for ESP32 fleets')
  .configureOutput({ writeErr: (text) => process.stderr.write(text) })
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2));

program
  .command('device')
  .description('devices and their certificates')
  .command('add')
  .description('make a key and a certificate for a device')
  .argument('<deviceId>', '1 to 64 of A-Z a-z 0-9 _ : -; also its MQTT client id')
  .option('--json', 'print JSON for programs')
  .option('--aws', 'register the device in the AWS account; its private key never leaves this machine')
  .option('--region <region>', 'AWS region (default: of the profile)')
  .option('--profile <profile>', 'AWS profile')
  .option('--stack <name>', 'CloudFormation stack', 'PakuOta')
  .option('--out <folder>', 'folder for the files (default with --aws: devices/<deviceId>)')
  .addHelpText(
    'after',
    '\nExamples:\n  paku-ota device add ESP32-20E955A0\n  paku-ota device add ESP32-20E955A0 --aws --profile vans',
  )
  .action(async (deviceId: string, options: AddOptions) => {
    const device = options.aws
      ? await addDeviceOnAws(deviceId, { ...options, folder: options.out ?? join('devices', deviceId) })
      : await addLocalDevice(deviceId, process.env.PAKU_OTA_HOME ?? join(ROOT, '.local'));
    console.log(options.json ? JSON.stringify(device) : describeDevice(device));
  });

try {
  await program.parseAsync();
} catch (error) {
  console.error(`paku-ota: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
