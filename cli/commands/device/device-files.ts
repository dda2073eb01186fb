import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

/** Where a device connects, and the files that it connects with. */
export interface DeviceConnection {
  readonly deviceId: string;
  readonly host: string;
  readonly port: number;
  readonly caFile: string;
  readonly certificateFile: string;
  readonly privateKeyFile: string;
}

/** The connection as text for people. */
export function describeDevice(device: DeviceConnection): string {
  return [
    `${device.deviceId} may connect to mqtts://${device.host}:${device.port} with`,
    `  CA           ${device.caFile}`,
    `  certificate  ${device.certificateFile}`,
    `  private key  ${device.privateKeyFile}`,
    `  for a sketch ${join(dirname(device.certificateFile), 'secrets.h')}`,
    `  for NVS      ${join(dirname(device.certificateFile), 'nvs.csv')}`,
  ].join('\n');
}

/** Writes a file that only its owner may read. @throws Error when the file exists, so that no key is overwritten */
export function writeSecret(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  if (existsSync(file))
    throw new Error(`${file} exists and is not overwritten; remove it, or choose another folder with --out.`);
  writeFileSync(file, text, { mode: 0o600 });
}

/** Writes `secrets.h` beside the certificate, with everything that an Arduino sketch needs as raw string literals. */
export function writeSecretsHeader(device: DeviceConnection): void {
  const pem = (name: string, file: string) =>
    `static const char ${name}[] PROGMEM = R"PEM(\n${readFileSync(file, 'utf8').trim()}\n)PEM";\n`;
  const header = [
    '// Made by paku-ota device add. Holds a private key: keep it out of version control.',
    '#pragma once',
    `#define DEVICE_ID "${device.deviceId}"`,
    `#define MQTT_HOST "${device.host}"`,
    `#define MQTT_PORT ${device.port}`,
    '',
    pem('CA_CERTIFICATE', device.caFile),
    pem('DEVICE_CERTIFICATE', device.certificateFile),
    pem('DEVICE_PRIVATE_KEY', device.privateKeyFile),
  ].join('\n');
  writeFileSync(join(dirname(device.certificateFile), 'secrets.h'), header, { mode: 0o600 });
}

/**
 * Writes `nvs.csv` beside the certificate. ESP-IDF's nvs_partition_gen makes a partition with the device's identity from
 * it. The file names the other files relative to their folder, and holds no key itself.
 */
export function writeNvsTable(device: DeviceConnection): void {
  const folder = dirname(device.certificateFile);
  const file = (path: string) => relative(folder, path);
  const rows = [
    ['key', 'type', 'encoding', 'value'],
    ['paku', 'namespace', '', ''],
    ['device_id', 'data', 'string', device.deviceId],
    ['mqtt_host', 'data', 'string', device.host],
    ['mqtt_port', 'data', 'u16', String(device.port)],
    // The roots for AWS are longer than a string may be (4,000 bytes), so this is a blob, without a NUL at its end.
    ['ca_cert', 'file', 'binary', file(device.caFile)],
    ['device_cert', 'file', 'string', file(device.certificateFile)],
    ['device_key', 'file', 'string', file(device.privateKeyFile)],
  ];
  const text = rows.map((row) => `${row.join(',')}\n`).join('');
  writeFileSync(join(folder, 'nvs.csv'), text, { mode: 0o600 });
}
