import { parseArgs } from 'node:util';

export interface StartOptions {
  /** Start without a fleet, a release or a rollout. */
  readonly empty: boolean;
  /** An image of the reader's own instead of the built one, with its model. */
  readonly firmware?: { readonly file: string; readonly model: string; readonly version: string };
  readonly devices: number;
  readonly tickSeconds: number;
  /** Address to listen on; another than 127.0.0.1 lets real boards in. */
  readonly host: string;
  readonly ports: { readonly mqtt: number; readonly aws: number; readonly api: number };
}

export const USAGE = `npm start -- [options]

  --tick 5s              how often the local clock fires (default 5s; on AWS once a minute)
  --devices 6            size of the virtual fleet
  --empty                no fleet, no release, no rollout: bring your own
  --firmware my.bin      update the fleet with your own image
    --model esp32-s3       its device model
    --version 2.0.0        the version it is released as
  --host 192.168.1.10    this machine's address, to let real boards in (default 127.0.0.1)
  --ports 8883,8480,8481 MQTT, AWS endpoints, HTTP API

  PAKU_OTA_HOME=<folder> where state is kept (default .local)
  DATABASE_URL=<url>     a PostgreSQL server instead of the built-in one
`;

/** @throws Error that names the option, what it is and what was expected */
export function parseOptions(args: readonly string[], defaults: StartOptions['ports']): StartOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      empty: { type: 'boolean', default: false },
      firmware: { type: 'string' },
      model: { type: 'string', default: 'esp32-s3' },
      version: { type: 'string', default: '2.0.0' },
      devices: { type: 'string', default: '6' },
      tick: { type: 'string', default: '5s' },
      host: { type: 'string', default: '127.0.0.1' },
      ports: { type: 'string', default: Object.values(defaults).join(',') },
    },
  });
  const { firmware: file, model, version } = values;
  return {
    empty: values.empty,
    ...(file === undefined ? {} : { firmware: { file, model, version } }),
    devices: whole('--devices', values.devices, 1, 500),
    tickSeconds: seconds(values.tick),
    host: values.host,
    ports: readPorts(values.ports),
  };
}

function seconds(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(s|m)?$/.exec(text);
  const value = Number(match?.[1]) * (match?.[2] === 'm' ? 60 : 1);
  if (match === null || value < 0.1 || value > 3600)
    throw new Error(`--tick is "${text}"; expected a time like 5s or 1m`);
  return value;
}

function readPorts(text: string): StartOptions['ports'] {
  const numbers = text.split(',').map((port) => whole('--ports', port, 0, 65_535));
  const [mqtt, aws, api] = numbers;
  if (mqtt === undefined || aws === undefined || api === undefined || numbers.length !== 3) {
    throw new Error(`--ports is "${text}"; expected three numbers: MQTT, AWS endpoints, HTTP API`);
  }
  return { mqtt, aws, api };
}

function whole(option: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw new Error(`${option} is "${text}"; expected a whole number from ${min} to ${max}`);
}
