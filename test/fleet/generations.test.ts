import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { buildImage } from '../../fleet/build-image.ts';
import { GENERATIONS, type Generation } from '../../fleet/generations.ts';
import { checkDnsNames } from '../../fleet/server-identity.ts';
import { Bench } from './bench.ts';
import { sha256 } from './images.ts';

const IMAGE = buildImage({ version: '1.5.0' });
const VERSIONS = ['1.1.0', '1.4.0', '1.4.2'] as const satisfies Generation[];
const MAC = 'A0:B7:65:00:00:A2';

let bench: Bench;
beforeAll(async () => {
  bench = await Bench.open();
});
afterAll(() => bench.close());

const start = (generation: Generation, options: object = {}) =>
  bench.connected({ ...GENERATIONS[generation], firmwareVersion: generation, mac: MAC, ...options });

interface Packet {
  readonly packet: string;
  readonly topic: string;
  readonly qos: number;
  readonly retain?: boolean;
  readonly payload?: object;
}

/** The packets of a captured window, with the id of another device. */
const captured = (firmware: string, deviceId: string): Packet[] =>
  readFileSync(new URL(`../fixtures/captures/connect-${firmware}.jsonl`, import.meta.url), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line.replaceAll('ESP32-20E955A2', deviceId)) as Packet);

/** A PUBLISH as text. What the sensors measure does not matter. */
function packetOf({ topic, qos, retain, payload = {} }: Omit<Packet, 'packet'>): string {
  const fields = topic.includes('/sensors/') ? [] : Object.keys(payload);
  return JSON.stringify({ topic, qos, retain, fields });
}

test.each(['1.1.0', '1.4.2'] as const)(
  'a virtual device of %s connects with the packets that were captured',
  async (generation) => {
    const subject = await start(generation);
    await bench.broker.message(subject.id, '/ruuvi_cabin/data');

    const packets = captured(generation, subject.id);
    const mine = <T extends { clientId: string }>(all: readonly T[]) =>
      all.filter(({ clientId }) => clientId === subject.id);
    const subscribed = mine(bench.broker.subscriptions).map(({ topic, qos }) => ({ packet: 'SUBSCRIBE', topic, qos }));
    expect(subscribed).toEqual(packets.filter(({ packet }) => packet === 'SUBSCRIBE'));
    const published = mine(bench.broker.received).map(packetOf);
    // The broker may pass on a retained message after a later one.
    expect(published.sort()).toEqual(
      packets
        .filter(({ packet }) => packet === 'PUBLISH')
        .map(packetOf)
        .sort(),
    );
    const [status] = bench.broker.from(subject.id, '/status');
    expect(status?.payload).toMatchObject({
      mac_address: MAC,
      firmware_version: generation,
      last_seen: expect.stringMatching(/\+02:00$/),
    });
  },
);

describe.each(VERSIONS)('a virtual device of %s', (generation) => {
  it('has no last will', async () => {
    const subject = await start(generation);
    bench.broker.clients.get(subject.id)?.close();
    await subject.event('disconnected');

    expect(bench.broker.from(subject.id, '/status').map(({ payload }) => payload.online)).toEqual([true]);
  });

  it('drops a command that exceeds its buffer without acknowledging it', async () => {
    const { packetLimit } = GENERATIONS[generation];
    const subject = await start(generation);
    const url = `http://127.0.0.1/${'x'.repeat(packetLimit)}`;
    bench.command(subject, url, '', '1.5.0');
    const dropped = await subject.event('droppedPacket');

    expect(dropped.bytes).toBeGreaterThan(packetLimit);
    expect(bench.broker.acknowledgements).not.toContain(subject.id);
  });

  it('boots an image whose checksum did not match at the next reset, after it reported code 3', async () => {
    const subject = await start(generation, { topicFamily: 'devices' });
    bench.command(subject, bench.images.serve(`/${generation}`, IMAGE), 'f'.repeat(64), '1.5.0');
    expect(await bench.broker.message(subject.id, '/ota/result')).toMatchObject({ success: false, result_code: 3 });
    expect(subject.device.firmwareVersion).toBe(generation);

    await subject.device.stop();
    subject.device.start();
    await subject.event('running');

    expect(subject.device.firmwareVersion).toBe('1.5.0');
  });

  it('reports a damaged image with code 4, and does not boot it', async () => {
    const damaged = Buffer.from(IMAGE);
    damaged.writeUInt8(damaged.readUInt8(2000) ^ 1, 2000);
    const subject = await start(generation, { topicFamily: 'devices' });
    bench.command(subject, bench.images.serve(`/${generation}-damaged`, damaged), sha256(IMAGE), '1.5.0');
    expect(await bench.broker.message(subject.id, '/ota/result')).toMatchObject({ success: false, result_code: 4 });

    await subject.device.stop();
    subject.device.start();
    await subject.event('connected', 2);

    expect(subject.device.firmwareVersion).toBe(generation);
  });

  it('loses its result in a stall, and runs the new version after the reboot', async () => {
    const subject = await start(generation, { topicFamily: 'devices', behaviours: { stallLosesResult: () => true } });
    bench.command(subject, bench.images.serve(`/${generation}-stall`, IMAGE), sha256(IMAGE), '1.5.0');
    expect((await subject.event('lostMessage')).topic).toMatch(/ota\/result$/);

    await bench.reboot(subject);
    await subject.event('connected', 2);

    expect(bench.broker.from(subject.id, '/ota/result')).toEqual([]);
    expect(subject.device.firmwareVersion).toBe('1.5.0');
  });
});

describe.each(['1.4.0', '1.4.2'] as const)('a window of %s', (generation) => {
  it('ends with a DISCONNECT after two statuses, and the next one continues the uptime', async () => {
    const subject = await start(generation);
    await subject.clock.letPass(15_000);
    await bench.status(subject, 2);
    await subject.clock.letPass(10_000);
    expect(await subject.event('away')).toMatchObject({ seconds: 5 });
    expect(bench.broker.departures).toContain(subject.id);
    await subject.clock.letPass(5_000);
    await subject.event('connected', 2);

    expect(await bench.status(subject, 3)).toMatchObject({ uptime_seconds: 30 });
  });

  it('stays open during an update', async () => {
    const subject = await start(generation);
    const slow = bench.images.stall(`/slow-${generation}`, IMAGE);
    const command = JSON.stringify({ url: slow.url, checksum: sha256(IMAGE), version: '1.5.0' });
    bench.broker.send(subject.id, `paku/edge/${subject.id}/cmd/ota`, command);
    await slow.begun();
    await subject.clock.letPass(25_000);
    slow.finish();
    await subject.event('installed');
    await bench.reboot(subject);
    await subject.event('running');

    expect(subject.events.map(({ kind }) => kind)).not.toContain('away');
  });
});

test('a virtual device refuses a broker whose certificate has its address only as an IP address, as mbedTLS 2.28 does', () => {
  expect(checkDnsNames('10.0.0.5', { subjectaltname: 'DNS:localhost, IP Address:10.0.0.5' })?.message).toContain(
    'expected DNS:10.0.0.5',
  );
  expect(checkDnsNames('10.0.0.5', { subjectaltname: 'DNS:localhost, DNS:10.0.0.5' })).toBeUndefined();
  expect(checkDnsNames('10.0.0.5', {})).toBeInstanceOf(Error);
});
