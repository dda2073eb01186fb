import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Where a device connects, and with what. */
export interface DeviceConnection {
  readonly deviceId: string;
  readonly host: string;
  readonly port: number;
  readonly caFile: string;
  readonly certificateFile: string;
  readonly privateKeyFile: string;
}

/** The connection for a person. */
export function describeDevice(device: DeviceConnection): string {
  return [
    `${device.deviceId} may connect to mqtts://${device.host}:${device.port} with`,
    `  CA           ${device.caFile}`,
    `  certificate  ${device.certificateFile}`,
    `  private key  ${device.privateKeyFile}`,
    `  for a sketch ${join(dirname(device.certificateFile), 'secrets.h')}`,
  ].join('\n');
}

/** Writes what only the owner may read. @throws Error rather than overwrite a key */
export function writeSecret(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  if (existsSync(file))
    throw new Error(`${file} exists and is not overwritten; remove it, or choose another folder with --out.`);
  writeFileSync(file, text, { mode: 0o600 });
}

/** Writes `secrets.h` beside the certificate: everything that an Arduino sketch needs, as raw string literals. */
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
