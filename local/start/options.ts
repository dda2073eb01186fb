import { Command, InvalidArgumentError, Option } from 'commander';

interface Ports {
  readonly mqtt: number;
  readonly aws: number;
  readonly api: number;
  readonly console: number;
}

export interface StartOptions {
  /** Starts without a fleet, a release and a rollout. */
  readonly empty: boolean;
  /** Path of an image that replaces the built one. */
  readonly firmware?: string;
  readonly model: string;
  readonly version: string;
  readonly devices: number;
  /** A second person approves rollouts. */
  readonly requireApproval: boolean;
  /** Interval of the schedule in seconds. */
  readonly tick: number;
  /** Address to listen on. Real boards can connect to any other than 127.0.0.1. */
  readonly host: string;
  readonly ports: Ports;
}

const ENVIRONMENT = `
  PAKU_OTA_HOME=<folder>  where state is kept (default .local)
  DATABASE_URL=<url>      a PostgreSQL server instead of the built-in one`;

/** The options of `npm start`. Exits after `--help`, and for an invalid option with a message. */
export function parseOptions(args: readonly string[], defaultPorts: Ports): StartOptions {
  return new Command('npm start --')
    .option('--tick <seconds>', 'how often the local clock fires: 5s, 1m; on AWS once a minute', seconds, 5)
    .option('--devices <number>', 'size of the virtual fleet', (text) => whole(text, 1, 500), 6)
    .option('--empty', 'no fleet, no release, no rollout: bring your own', false)
    .option('--firmware <file>', 'update the fleet with your own image')
    .option('--model <name>', '  its device model', 'esp32-s3')
    .option('--version <version>', '  the version it is released as', '2.0.0')
    .option('--require-approval', 'a second person approves rollouts, as with the setting requireApproval', false)
    .option('--host <address>', "this machine's address, to let real boards in", '127.0.0.1')
    .addOption(
      new Option('--ports <four>', 'MQTT, AWS endpoints, HTTP API, console')
        .argParser(readPorts)
        .default(defaultPorts, Object.values(defaultPorts).join(',')),
    )
    .addHelpText('after', ENVIRONMENT)
    .parse(args, { from: 'user' })
    .opts<StartOptions>();
}

function seconds(text: string): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)(s|m)?$/.exec(text) ?? [];
  const value = Number(digits) * (unit === 'm' ? 60 : 1);
  if (value >= 0.1 && value <= 3600) return value;
  throw new InvalidArgumentError('Expected a time like 5s or 1m.');
}

function readPorts(text: string): Ports {
  const [mqtt, aws, api, console, ...others] = text.split(',').map((port) => whole(port, 0, 65_535));
  if (mqtt === undefined || aws === undefined || api === undefined || console === undefined || others.length > 0) {
    throw new InvalidArgumentError('Expected four numbers: MQTT, AWS endpoints, HTTP API, console.');
  }
  return { mqtt, aws, api, console };
}

function whole(text: string, min: number, max: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`);
}
