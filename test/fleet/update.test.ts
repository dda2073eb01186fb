import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Bench } from './bench.ts';
import { makeImage, S3, sha256 } from './images.ts';

const IMAGE = makeImage(S3, 200_000);
const CHECKSUM = sha256(IMAGE);

let bench: Bench;
beforeAll(async () => {
  bench = await Bench.open();
});
afterAll(() => bench.close());

describe('an update', () => {
  it('leads from the command through the result to a status with the new version', async () => {
    const subject = await bench.connected();
    bench.command(subject, bench.images.serve('/good.bin', IMAGE), CHECKSUM, '1.1.0');

    const result = await bench.broker.message(subject.id, '/ota/result');
    expect(result).toMatchObject({ version: '1.1.0', success: true, result_code: 0, message: 'Success' });
    expect(bench.broker.departures).not.toContain(subject.id);

    await subject.clock.letPass(3000);
    await subject.event('rebooting');
    expect(bench.broker.departures).toContain(subject.id);
    await subject.clock.letPass(5000);
    const status = await bench.status(subject, 2);
    expect(status).toMatchObject({ firmware_version: '1.1.0' });
    expect(subject.device.firmwareVersion).toBe('1.1.0');
  });

  it('is accepted, reported and concluded on the topics of older firmware', async () => {
    const subject = await bench.connected();
    bench.command(subject, bench.images.serve('/good.bin', IMAGE), CHECKSUM, '1.1.0');
    await bench.broker.message(subject.id, '/ota/result');

    const said = bench.broker.received.filter(
      ({ clientId, topic }) => clientId === subject.id && topic.includes('/ota/'),
    );
    const family = `paku/devices/${subject.id}/ota`;
    expect(said.map(({ topic, payload }) => [topic, payload.state ?? payload.status ?? payload.message])).toEqual([
      [`${family}/status`, 'accepted'],
      [`${family}/progress`, 'Checking'],
      [`${family}/progress`, 'Downloading'],
      [`${family}/progress`, 'Verifying'],
      [`${family}/progress`, 'Installing'],
      [`${family}/progress`, 'Complete'],
      [`${family}/result`, 'Success'],
    ]);
    expect(said.every(({ qos, retain }) => qos === 0 && !retain)).toBe(true);
    const complete = { percent: 100, downloaded: IMAGE.length, total: IMAGE.length };
    expect(said.at(-2)?.payload).toMatchObject(complete);
  });

  it('can send a heartbeat with the old version before the reboot', async () => {
    const subject = await bench.connected({ heartbeatSeconds: 2 });
    bench.command(subject, bench.images.serve('/good.bin', IMAGE), CHECKSUM, '1.1.0');
    await subject.event('installed');

    await subject.clock.letPass(2000);
    const status = await bench.status(subject, 2);

    expect(status).toMatchObject({ firmware_version: '1.0.0' });
  });

  it('reports both versions on the topics of newer firmware', async () => {
    const subject = await bench.connected({ topicFamily: 'edge', statusForm: '1.4.2' });
    const url = bench.images.serve('/good.bin', IMAGE);
    const command = JSON.stringify({ url, checksum: CHECKSUM, version: '1.5.0' });
    bench.broker.publish(`paku/edge/${subject.id}/cmd/ota`, command);

    await bench.broker.message(subject.id, '/ota/result');

    const [accepted] = bench.broker.from(subject.id, `paku/edge/${subject.id}/ota/status`);
    expect(accepted?.payload).toMatchObject({ current_version: '1.0.0', target_version: '1.5.0' });
    expect(accepted?.payload).not.toHaveProperty('version');
  });

  it('is received on both topics by firmware 1.4.0', async () => {
    const subject = await bench.connected({ topicFamily: 'both' });
    for (const family of ['edge', 'devices']) {
      bench.broker.publish(
        `paku/${family}/${subject.id}/cmd/ota`,
        '{"url":"ftp://x/y","checksum":"","version":"2.0.0"}',
      );
    }

    await subject.event('failed', 2);

    expect(bench.broker.from(subject.id, '/ota/result').every(({ payload }) => payload.result_code === 6)).toBe(true);
  });

  it('waits unread while another one downloads, and runs after it', async () => {
    const subject = await bench.connected();
    const slow = bench.images.stall('/slow.bin', IMAGE);
    bench.command(subject, slow.url, CHECKSUM, '1.1.0');
    await bench.broker.until(() => bench.broker.acknowledgements.includes(subject.id));
    await slow.begun();
    bench.command(subject, bench.images.serve('/good.bin', IMAGE), CHECKSUM, '1.2.0');
    slow.finish();
    await subject.event('installed');
    await subject.event('accepted', 2);
    await bench.reboot(subject);
    await subject.event('installed', 2);

    const order = subject.events.filter(({ kind }) => ['accepted', 'installed', 'running'].includes(kind));
    expect(order.map((event) => [event.kind, 'version' in event && event.version])).toEqual([
      ['accepted', '1.1.0'],
      ['installed', '1.1.0'],
      ['accepted', '1.2.0'],
      ['running', '1.1.0'],
      ['installed', '1.2.0'],
    ]);
  });

  it('keeps the new version after a restart of the process', async () => {
    const versions = new Map<string, string>();
    const persist = {
      get: (deviceId: string) => versions.get(deviceId),
      set: (deviceId: string, version: string) => void versions.set(deviceId, version),
    };
    const subject = await bench.connected({ persist });
    bench.command(subject, bench.images.serve('/good.bin', IMAGE), CHECKSUM, '1.1.0');
    await subject.event('installed');
    await bench.reboot(subject);
    await subject.event('connected', 2);
    await subject.device.stop();

    const again = await bench.connected({ persist, deviceId: subject.id });

    expect((await again.event('connected')).version).toBe('1.1.0');
  });
});

describe('a command', () => {
  it('that exactly fills the buffer is run, and one with a byte more is dropped without an acknowledgement', async () => {
    const subject = await bench.connected();
    const topic = `paku/devices/${subject.id}/cmd/ota`;
    // Fixed header 1 + 2, topic length 2, packet id 2.
    const room = 256 - 7 - topic.length;
    const command = (bytes: number) => JSON.stringify({ url: '', checksum: '', version: '2' }).padEnd(bytes);

    bench.broker.send(subject.id, topic, command(room + 1));
    bench.broker.send(subject.id, topic, command(room));
    await subject.event('failed');
    await bench.broker.until(() => bench.broker.acknowledgements.includes(subject.id));
    await subject.device.stop();

    expect(await subject.event('droppedPacket')).toMatchObject({ topic, bytes: 257 });
    expect(subject.events.filter(({ kind }) => kind === 'command')).toHaveLength(1);
    expect(bench.broker.acknowledgements.filter((id) => id === subject.id)).toHaveLength(1);
  });

  it('is acknowledged but not run on a topic that the device did not subscribe to', async () => {
    const subject = await bench.connected();

    bench.broker.send(subject.id, `paku/edge/${subject.id}/cmd/ota`, '{"url":"","checksum":"","version":"2"}');
    await bench.broker.until(() => bench.broker.acknowledgements.includes(subject.id));

    expect(subject.events.map(({ kind }) => kind)).toEqual(['connected']);
  });

  it('that is not a JSON object is acknowledged and ignored', async () => {
    const subject = await bench.connected();

    bench.broker.send(subject.id, `paku/devices/${subject.id}/cmd/ota`, '{"url":');
    await bench.broker.until(() => bench.broker.acknowledgements.includes(subject.id));

    expect(subject.events.map(({ kind }) => kind)).toEqual(['connected', 'ignoredCommand']);
  });

  it('is acknowledged but not run by a device that ignores commands', async () => {
    const subject = await bench.connected({ behaviours: { ignoresCommands: true } });

    bench.command(subject, 'http://127.0.0.1/x', '', '2.0.0');
    await bench.broker.until(() => bench.broker.acknowledgements.includes(subject.id));

    expect(bench.broker.from(subject.id, '/ota/status')).toEqual([]);
  });
});
