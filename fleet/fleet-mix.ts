import type { VirtualDeviceOptions } from './device-options.ts';
import { type RandomSource, seededRandom } from './random.ts';

/** A kind of device in a fleet. */
export type MemberKind = Omit<Partial<VirtualDeviceOptions>, 'connection' | 'deviceId' | 'mac' | 'firmwareVersion'> &
  Pick<VirtualDeviceOptions, 'model' | 'chip' | 'topicFamily' | 'statusForm'>;

/** A device of a fleet without a connection. */
export type Member = MemberKind & Pick<VirtualDeviceOptions, 'deviceId' | 'mac'>;

const DOZE = { awakeSeconds: 30, asleepSeconds: 15 };

/** A small field: mostly `esp32-s3` of every generation. One sleeps, one has a bad link, and one is an ESP8266. */
export const FIELD_MIX: readonly MemberKind[] = [
  { model: 'esp32-s3', chip: 'ESP32-S3', topicFamily: 'devices', statusForm: 'seed' },
  { model: 'esp32-s3', chip: 'ESP32-S3', topicFamily: 'devices', statusForm: '1.2.3' },
  {
    model: 'esp32-s3',
    chip: 'ESP32-S3',
    topicFamily: 'both',
    statusForm: '1.4.2',
    behaviours: { sleep: DOZE, progressInBurst: true },
  },
  {
    model: 'esp32-s3',
    chip: 'ESP32-S3',
    topicFamily: 'edge',
    statusForm: '1.4.2',
    behaviours: { loseMessages: 0.05, downloadFailsTimes: 1 },
  },
  { model: 'lilygo-t-display-s3', chip: 'ESP32-S3', topicFamily: 'devices', statusForm: '1.3.0' },
  { model: 'esp8266-wired-sensors', chip: 'ESP8266', topicFamily: 'edge', statusForm: '1.4.2' },
];

/**
 * Generates `size` members with the kinds of the mix in turn; an ESP8266 only once. The seed determines ids and MAC
 * addresses, so that a restarted fleet has the same certificates and versions.
 */
export function membersOf(mix: readonly MemberKind[], size: number, seed: number): Member[] {
  const random = seededRandom(seed);
  const again = mix.filter((kind) => kind.chip !== 'ESP8266');
  return Array.from({ length: size }, (_, index) => {
    const kind = mix[index] ?? again[(index - mix.length) % again.length];
    if (kind === undefined) throw new Error(`A mix of ${mix.length} kinds cannot make ${size} devices: add a kind.`);
    return { ...kind, ...identity(kind, random) };
  });
}

function identity(kind: MemberKind, random: RandomSource): Pick<Member, 'deviceId' | 'mac'> {
  const bytes = ['A0', 'B7', ...Array.from({ length: 4 }, () => hexByte(random))];
  const family = kind.chip === 'ESP8266' ? 'ESP8266' : 'ESP32';
  return { deviceId: `${family}-${bytes.slice(2).join('')}`, mac: bytes.join(':') };
}

function hexByte(random: RandomSource): string {
  return Math.floor(random() * 256)
    .toString(16)
    .toUpperCase()
    .padStart(2, '0');
}
