import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CertificateAuthority } from '../../../local/kernel/index.ts';
import { type DeviceConnection, writeNvsTable, writeSecretsHeader } from './device-files.ts';

/** A certificate of the local runtime's authority; the broker trusts it at once. @throws Error when no runtime is up */
export async function addLocalDevice(deviceId: string, home: string): Promise<DeviceConnection> {
  const endpointsFile = join(home, 'endpoints.json');
  if (!existsSync(endpointsFile)) {
    throw new Error(
      `no local system runs in ${home}: start one with npm start, name another with PAKU_OTA_HOME, or use --aws`,
    );
  }
  const { mqtt } = JSON.parse(readFileSync(endpointsFile, 'utf8')) as {
    mqtt: { host: string; port: number; caFile: string };
  };
  const authority = await CertificateAuthority.open(join(home, 'certificates'));
  const { certificateFile, privateKeyFile } = await authority.addDevice(deviceId);
  const { host, port, caFile } = mqtt;
  const device = { deviceId, host, port, caFile, certificateFile, privateKeyFile };
  writeSecretsHeader(device);
  writeNvsTable(device);
  return device;
}
