import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Bench } from './bench.ts';
import { makeImage, S3, sha256 } from './images.ts';

const IMAGE = makeImage(S3);
const DOZING = { behaviours: { sleep: { awakeSeconds: 30, asleepSeconds: 900 } } };

let bench: Bench;
beforeAll(async () => {
  bench = await Bench.open();
});
afterAll(() => bench.close());

describe('a device in deep sleep', () => {
  it('counts as connected, and receives no command', async () => {
    const subject = await bench.connected(DOZING);
    await subject.clock.letPass(30_000);
    await subject.event('asleep');

    bench.command(subject, bench.images.serve('/good.bin', IMAGE), sha256(IMAGE), '1.1.0');
    await subject.clock.letPass(900_000);
    await subject.event('connected', 2);

    // Until the device returned, the broker considered it connected and the command unacknowledged.
    expect(bench.broker.departures.filter((id) => id === subject.id)).toHaveLength(1);
    expect(bench.broker.acknowledgements).not.toContain(subject.id);
    expect(subject.events.map(({ kind }) => kind)).toEqual(['connected', 'asleep', 'connected']);
  });

  it('leaves its connection open until it connects again', async () => {
    const subject = await bench.connected(DOZING);
    const before = bench.broker.clients.get(subject.id);
    await subject.clock.letPass(30_000);
    await subject.event('asleep');
    // The connection of another device gives the broker time to notice.
    await (await bench.connected()).device.stop();

    expect(before?.connected).toBe(true);
    expect(bench.broker.departures).not.toContain(subject.id);
  });

  it('restarts its uptime when it wakes, and runs commands', async () => {
    const subject = await bench.connected({ ...DOZING, statusForm: '1.2.3' });
    await subject.clock.letPass(30_000);
    await subject.event('asleep');
    await subject.clock.letPass(900_000);
    await subject.event('connected', 2);
    bench.command(subject, bench.images.serve('/good.bin', IMAGE), sha256(IMAGE), '1.1.0');

    expect(await bench.broker.message(subject.id, '/ota/result')).toMatchObject({ success: true });
    const statuses = bench.broker.from(subject.id, `/edge/${subject.id}/status`).map(({ payload }) => payload);
    expect(statuses.at(-1)).toMatchObject({ online: true, uptime_seconds: 0 });
  });

  it('does not fall asleep during an update', async () => {
    const subject = await bench.connected(DOZING);
    const slow = bench.images.stall('/slow.bin', IMAGE);
    bench.command(subject, slow.url, sha256(IMAGE), '1.1.0');
    await slow.begun();

    subject.clock.advance(40_000);
    slow.finish();
    await subject.event('installed');
    await bench.reboot(subject);
    await subject.event('running');

    expect(subject.events.map(({ kind }) => kind)).not.toContain('asleep');
  });
});
