import { join } from 'node:path';
import type { Command } from 'commander';
import { DEVICE_ID_FORM } from '../../../core/util/index.ts';
import { addCommand, decidePlace } from '../../session/index.ts';
import { describeDevice } from './device-files.ts';
import { addLocalDevice } from './local-device.ts';

interface AddOptions {
  readonly json?: boolean;
  readonly aws?: boolean;
  readonly local?: boolean;
  readonly region?: string;
  readonly profile?: string;
  readonly stack?: string;
  readonly out?: string;
}

/** Makes keys; the only command that does not call the API. */
export function addDeviceAdd(group: Command): void {
  addCommand(group, 'add', 'create a key and a certificate for a device', [
    'paku-ota device add ESP32-20E955A0',
    'paku-ota device add ESP32-20E955A0 --aws --profile vans',
  ])
    .argument('<deviceId>', `${DEVICE_ID_FORM}; also its MQTT client id`)
    .option('--json', 'print JSON for programs')
    .option('--aws', 'register the device in the AWS account; its private key never leaves this machine')
    .option('--region <region>', 'AWS region (default: of the profile)')
    .option('--profile <profile>', 'AWS profile')
    .option('--stack <name>', 'CloudFormation stack (default: PakuOta)')
    .option('--local', 'for the local system (default without an option for AWS)')
    .option('--out <folder>', 'folder for the files (default with --aws: devices/<deviceId>)')
    .action(async (deviceId: string, options: AddOptions) => {
      const device = await addDevice(deviceId, options);
      console.log(options.json ? JSON.stringify(device) : describeDevice(device));
    });
}

async function addDevice(deviceId: string, options: AddOptions) {
  const { aws, profile, region, stack } = options;
  // Without a flag that names an account the command is for the local system, never for an account found by default.
  const local = options.local ?? !(aws || profile || region || stack);
  const place = decidePlace({ ...options, local });
  if (place.kind === 'local') return addLocalDevice(deviceId, place.home);
  const { addDeviceOnAws } = await import('./device-on-aws.ts');
  return addDeviceOnAws(deviceId, { ...place, folder: options.out ?? join('devices', deviceId) });
}
