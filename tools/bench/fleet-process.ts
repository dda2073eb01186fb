import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { VirtualDevice } from '../../fleet/virtual-device.ts';

/** The task of a process that runs a part of the fleet. */
export interface FleetPlan {
  readonly host: string;
  readonly port: number;
  readonly caFile: string;
  readonly devices: readonly {
    readonly deviceId: string;
    readonly certificateFile: string;
    readonly privateKeyFile: string;
  }[];
}

/** A progress report, sent every second. */
export interface FleetNews {
  /** Number of devices that have connected. */
  readonly connected: number;
  /** Number of failed connections, which were retried. */
  readonly refused: number;
  /** Processor time of the process so far. */
  readonly cpuSeconds: number;
}

const STARTS_AT_ONCE = 20;
const BETWEEN_STARTS_MS = 100;

async function live({ host, port, caFile, devices }: FleetPlan): Promise<void> {
  const connected = new Set<string>();
  let refused = 0;
  setInterval(() => {
    const { user, system } = process.cpuUsage();
    process.send?.({ connected: connected.size, refused, cpuSeconds: (user + system) / 1e6 } satisfies FleetNews);
  }, 1_000);
  const ca = readFileSync(caFile, 'utf8');
  for (const [n, { deviceId, certificateFile, privateKeyFile }] of devices.entries()) {
    const [cert, key] = [readFileSync(certificateFile, 'utf8'), readFileSync(privateKeyFile, 'utf8')];
    const device = new VirtualDevice({
      deviceId,
      model: 'esp32-s3',
      firmwareVersion: '1.0.0',
      mac: 'A0:B7:65:20:E9:55',
      chip: 'ESP32-S3',
      topicFamily: 'devices',
      statusForm: 'seed',
      keepaliveSeconds: 60,
      connection: { host, port, ca, cert, key },
    });
    device.on('state', ({ kind }) => {
      if (kind === 'connected') connected.add(deviceId);
      if (kind === 'refused') refused += 1;
    });
    device.start();
    if (n % STARTS_AT_ONCE === STARTS_AT_ONCE - 1) await delay(BETWEEN_STARTS_MS);
  }
}

process.once('message', (plan: FleetPlan) => void live(plan));
process.once('disconnect', () => process.exit());
