import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Behaviours } from '../../fleet/device-options.ts';
import { seededRandom } from '../../fleet/random.ts';
import { createTestAuthority } from '../support/certificates.ts';
import { Bench, type Subject } from './bench.ts';
import { makeImage, S3, sha256 } from './images.ts';

const IMAGE = makeImage(S3);

let bench: Bench;
beforeAll(async () => {
  bench = await Bench.open();
});
afterAll(() => bench.close());

async function update(behaviours: Behaviours): Promise<Subject> {
  const subject = await bench.connected({ behaviours });
  bench.command(subject, bench.images.serve('/good.bin', IMAGE), sha256(IMAGE), '1.1.0');
  expect(await bench.broker.message(subject.id, '/ota/result')).toMatchObject({ success: true });
  return subject;
}

describe('after a successful result, a device', () => {
  it('whose new image does not boot connects with the old version and reports nothing about the update', async () => {
    const subject = await update({ bootFails: (version) => version === '1.1.0' });
    await bench.reboot(subject);
    await subject.clock.letPass(5000);

    expect(await bench.status(subject, 2)).toMatchObject({ firmware_version: '1.0.0' });
    expect(await subject.event('rolledBack')).toMatchObject({ version: '1.0.0', from: '1.1.0' });
    expect(bench.broker.from(subject.id, '/ota/result')).toHaveLength(1);
  });

  it('whose new image crashes reports the new version, disconnects silently and reports the old version', async () => {
    const subject = await update({ crashesAfterSeconds: () => 40 });
    await bench.reboot(subject);
    expect(await bench.status(subject, 2)).toMatchObject({ firmware_version: '1.1.0' });

    await subject.clock.letPass(40_000);
    await subject.event('crashed');
    await subject.clock.letPass(5000);
    await subject.event('connected', 3);

    const topic = `/edge/${subject.id}/status`;
    await bench.broker.until(() => bench.broker.from(subject.id, topic).length >= 4);
    const said = bench.broker.from(subject.id, topic).map(({ payload }) => payload.firmware_version ?? payload.online);
    // The broker publishes the last will when the device replaces its own dead connection.
    expect(said).toEqual(['1.0.0', '1.1.0', false, '1.0.0']);
  });

  it('that does not boot again never reconnects', async () => {
    const subject = await update({ dies: () => true });
    await bench.reboot(subject);
    await subject.event('died');

    subject.clock.advance(3_600_000);
    await subject.device.stop();

    expect(bench.broker.from(subject.id, `/edge/${subject.id}/status`)).toHaveLength(1);
  });

  it('reports the version that its image embeds, if it differs from that of the command', async () => {
    const subject = await update({ embeddedVersion: (version) => `${version}-dirty` });
    await bench.reboot(subject);

    expect(await bench.status(subject, 2)).toMatchObject({ firmware_version: '1.1.0-dirty' });
  });

  it('that reboots slowly is offline for the configured time', async () => {
    const subject = await update({ slowRebootSeconds: 90 });
    await subject.clock.letPass(3000);
    await subject.event('rebooting');
    subject.clock.advance(89_999);
    expect(subject.events.map(({ kind }) => kind)).not.toContain('running');

    await subject.clock.letPass(1);

    expect(await bench.status(subject, 2)).toMatchObject({ firmware_version: '1.1.0' });
  });
});

describe('a device on a bad link', () => {
  it('loses the messages that the random source selects, and no others', async () => {
    const draws = seededRandom(7);
    const lost: boolean[] = [];
    const random = () => {
      const drawn = draws();
      lost.push(drawn < 0.5);
      return drawn;
    };
    const subject = await bench.device({ random, behaviours: { loseMessages: 0.5 } });
    await subject.event('connected');
    bench.command(subject, bench.images.serve('/good.bin', IMAGE), sha256(IMAGE), '1.1.0');
    await subject.event('installed');
    await subject.device.stop();

    const arrived = bench.broker.received.filter(({ clientId }) => clientId === subject.id);
    expect(arrived).toHaveLength(lost.filter((isLost) => !isLost).length);
    expect(subject.events.filter(({ kind }) => kind === 'lostMessage')).toHaveLength(lost.filter(Boolean).length);
    expect(new Set(lost)).toEqual(new Set([true, false]));
  });

  it('counts its time from 1970 until NTP has synchronized its clock', async () => {
    const subject = await bench.connected({ statusForm: '1.2.3', behaviours: { clockUnsynced: true } });

    expect(await bench.status(subject)).toMatchObject({ last_seen: '1970-01-01T00:00:00Z', uptime_seconds: 0 });
    await subject.clock.letPass(60_000);

    expect(await bench.status(subject, 2)).toMatchObject({ last_seen: '1970-01-01T00:01:00Z', uptime_seconds: 60 });
  });

  it('sends its progress reports in a burst after the download', async () => {
    const subject = await bench.connected({ behaviours: { progressInBurst: true } });
    const slow = bench.images.stall('/slow.bin', IMAGE);
    bench.command(subject, slow.url, sha256(IMAGE), '1.1.0');
    await bench.broker.message(subject.id, '/ota/status');
    await slow.begun();
    expect(bench.broker.from(subject.id, '/ota/progress')).toEqual([]);

    slow.finish();
    await bench.broker.message(subject.id, '/ota/result');

    expect(bench.broker.from(subject.id, '/ota/progress')).toHaveLength(5);
  });
});

describe('a device that cannot connect', () => {
  it('reports the reason and retries until it succeeds', async () => {
    const subject = await bench.device({ connection: { ...(await bench.broker.connectionFor('x')), port: 1 } });

    expect((await subject.event('refused')).reason).toMatch('ECONNREFUSED');
    await subject.clock.letPass(5000);
    await subject.event('refused', 2);
  });

  it('reports it if the broker does not accept its certificate', async () => {
    const forged = await (await createTestAuthority()).issueDevice('x');
    const connection = { ...(await bench.broker.connectionFor('x')), ...forged };

    const subject = await bench.device({ connection });

    expect((await subject.event('refused')).reason).not.toBe('');
  });

  it('reconnects after the broker has closed the connection', async () => {
    const subject = await bench.connected();
    bench.broker.clients.get(subject.id)?.close();
    await subject.event('disconnected');
    await subject.clock.letPass(5000);

    await subject.event('connected', 2);
  });
});
