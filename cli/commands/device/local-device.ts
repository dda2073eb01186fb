import { join } from 'node:path';
import { CertificateAuthority } from '../../../local/kernel/index.ts';
import { readEndpoints } from '../../session/index.ts';
import { type DeviceConnection, writeNvsTable, writeSecretsHeader } from './device-files.ts';

/**
 * Makes a certificate of the local system's authority, which its broker trusts at once.
 * @throws CliError when no local system runs in the home
 */
export async function addLocalDevice(deviceId: string, home: string): Promise<DeviceConnection> {
  const { mqtt } = readEndpoints(home);
  const authority = await CertificateAuthority.open(join(home, 'certificates'));
  const { certificateFile, privateKeyFile } = await authority.addDevice(deviceId);
  const { host, port, caFile } = mqtt;
  const device = { deviceId, host, port, caFile, certificateFile, privateKeyFile };
  writeSecretsHeader(device);
  writeNvsTable(device);
  return device;
}
