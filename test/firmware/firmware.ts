import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { DeviceConnection } from '../../cli/commands/device/index.ts';
import { buildImage } from '../../fleet/build-image.ts';
import { type Compiler, example, host } from './compile.ts';

/** The limits of the examples in seconds, shortened for tests. */
const TIMES = { PAKU_TRIAL_SECONDS: 20, PAKU_VALID_SECONDS: 4, PAKU_OFFLINE_SECONDS: 60 };

export interface Build {
  readonly version: string;
  /** The Wi-Fi that the build knows. @default van */
  readonly network?: string;
  /** More source, in C: what is wrong with the build. */
  readonly fault?: string;
}

/** An example of docs/devices, compiled for one device. */
export interface Firmware {
  readonly name: string;
  readonly model: string;
  build(build: Build): Buffer;
}

interface Identity extends DeviceConnection {
  readonly model: string;
}

const NETWORK = 'van';

/** The sketch, for the device whose `secrets.h` stands beside its certificate. */
export function arduinoFirmware(
  compiler: Compiler,
  identity: Identity,
  { times = TIMES, verifiesLater = true } = {},
): Firmware {
  const parts = [
    ...['board.c', 'http.c', 'tls.cpp', 'PubSubClient.cpp', 'arduino.cpp'].map((file) =>
      compiler.compile({ file: host(file) }),
    ),
    compiler.compile({ file: example('paku_ota.c'), defines: { ...times, ...(verifiesLater && { ARDUINO: 10819 }) } }),
  ];
  return {
    name: 'the Arduino sketch',
    model: identity.model,
    build({ version, network = NETWORK, fault }) {
      const sketch = compiler.compile({
        file: example('arduino.ino'),
        include: dirname(identity.certificateFile),
        defines: {
          FIRMWARE_VERSION: version,
          DEVICE_MODEL: identity.model,
          WIFI_SSID: network,
          WIFI_PASSWORD: 'secret',
          STATUS_SECONDS: 1,
        },
      });
      return image(compiler, version, [sketch, ...parts], fault);
    },
  };
}

/** The program for ESP-IDF, with the certificates of the device embedded. */
export function idfFirmware(compiler: Compiler, identity: Identity, { times = TIMES } = {}): Firmware {
  const embedded = Object.entries({
    ca_pem: identity.caFile,
    certificate_pem: identity.certificateFile,
    private_key_pem: identity.privateKeyFile,
  }).map(([symbol, file]) => {
    const text = JSON.stringify(readFileSync(file, 'utf8'));
    return `extern const char ${symbol}[] __asm__("_binary_${symbol}_start");\nconst char ${symbol}[] = ${text};\n`;
  });
  const defines = {
    DEVICE_ID: identity.deviceId,
    MQTT_URI: `mqtts://${identity.host}:${identity.port}`,
    DEVICE_MODEL: identity.model,
    STATUS_SECONDS: 1,
  };
  const parts = [
    ...['board.c', 'http.c', 'tls.cpp', 'PubSubClient.cpp', 'mqtt_client.cpp'].map((file) =>
      compiler.compile({ file: host(file) }),
    ),
    compiler.compile({ file: example('paku_ota.c'), defines: times }),
    compiler.compile({ file: example('esp-idf.c'), defines }),
    compiler.compile({ file: compiler.write('embedded.c', embedded.join('')) }),
  ];
  return {
    name: 'the program for ESP-IDF',
    model: identity.model,
    build({ version, network = NETWORK, fault }) {
      const main = compiler.compile({
        file: host('idf.cpp'),
        defines: { FIRMWARE_VERSION: version, WIFI_SSID: network },
      });
      return image(compiler, version, [main, ...parts], fault);
    },
  };
}

function image(compiler: Compiler, version: string, objects: readonly string[], fault?: string): Buffer {
  const faulty = fault === undefined ? [] : [compiler.compile({ file: compiler.write('fault.c', fault) })];
  return buildImage({ version, project: 'paku-example', code: compiler.link([...objects, ...faulty]) });
}

/** A build that crashes when it starts. */
export const CRASHES_AT_START = `
#include <stdlib.h>
__attribute__((constructor)) static void crash(void) { abort(); }
`;

/** A build that connects, reports its version, and crashes two seconds after its start. */
export const CRASHES_ONCE_CONNECTED = `
#include <unistd.h>
__attribute__((constructor)) static void crash_later(void) { alarm(2); }
`;
