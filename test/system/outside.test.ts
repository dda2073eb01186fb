import { execFile, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { buildImage } from '../../fleet/build-image.ts';
import { CertificateAuthority } from '../../local/kernel/index.ts';
import { Cli } from '../support/cli.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';

// Each step starts a process, and the machine may be busy.
vi.setConfig({ testTimeout: 90_000 });

const run = promisify(execFile);
const CLI = new URL('../../cli/paku-ota.mjs', import.meta.url).pathname;

const has = (program: string) => {
  try {
    execFileSync('which', [program]);
    return true;
  } catch {
    return false;
  }
};
const missing = ['mosquitto_pub', 'mosquitto_sub', 'curl', 'stdbuf'].filter((program) => !has(program));

let system: TestSystem;
let cli: Cli;
beforeAll(async () => {
  if (missing.length > 0) return;
  system = await startTestSystem();
  cli = new Cli(system.home);
});
afterAll(() => system?.close());

interface Device {
  readonly deviceId: string;
  readonly host: string;
  readonly port: number;
  readonly caFile: string;
  readonly certificateFile: string;
  readonly privateKeyFile: string;
}

async function addDevice(deviceId: string): Promise<Device> {
  const { stdout } = await run('node', [CLI, 'device', 'add', deviceId, '--json'], {
    env: { ...process.env, PAKU_OTA_HOME: system.home },
  });
  return JSON.parse(stdout) as Device;
}

const tlsOf = ({ caFile, certificateFile, privateKeyFile, host, port, deviceId }: Device) => [
  ...['--cafile', caFile, '--cert', certificateFile, '--key', privateKeyFile],
  ...['-h', host, '-p', String(port), '-i', deviceId],
];

interface Revoked {
  readonly certificates: readonly [string];
}

/** The device with the files of its revoked certificate, which a thief still has. */
function replaced(device: Device, { certificates: [id] }: Revoked): Device {
  const folder = join(system.home, 'certificates', 'replaced', id);
  const [certificateFile, privateKeyFile] = ['certificate.pem', 'private-key.pem'].map((file) => join(folder, file));
  return { ...device, certificateFile, privateKeyFile } as Device;
}

const status = '{"firmware_version":"1.0.0","device_model":"esp32-s3"}';

describe.skipIf(missing.length > 0)(
  `third-party clients${missing.length > 0 ? ` (not installed: ${missing.join(', ')})` : ''}`,
  () => {
    test('mosquitto_pub with a certificate of device add registers a device, with a retained status', async () => {
      const device = await addDevice('ESP32-OUTSIDE1');
      await run('mosquitto_pub', [...tlsOf(device), '-t', `paku/edge/${device.deviceId}/status`, '-r', '-m', status]);
      await system.until(
        `SELECT 1 FROM devices WHERE device_id = 'ESP32-OUTSIDE1' AND current_firmware_version = '1.0.0'`,
      );
      expect(readFileSync(device.certificateFile.replace('certificate.pem', 'secrets.h'), 'utf8')).toContain(
        '#define DEVICE_ID "ESP32-OUTSIDE1"',
      );
    });

    test('mosquitto_sub and mosquitto_pub may do everything that firmware 1.4.2 does at a connect', async () => {
      const device = await addDevice('ESP32-OUTSIDE7');
      const packets = readFileSync(new URL('../fixtures/captures/connect-1.4.2.jsonl', import.meta.url), 'utf8')
        .replaceAll('ESP32-20E955A2', device.deviceId)
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { packet: string; topic: string; retain?: boolean; payload?: object });
      const topics = packets.filter(({ packet }) => packet === 'SUBSCRIBE').flatMap(({ topic }) => ['-t', topic]);
      expect(topics).toHaveLength(10);
      // It ends by itself with 27 (timeout); a client whose connection is closed ends with another code, and earlier.
      await expect(
        run('mosquitto_sub', [...tlsOf(device), '-V', 'mqttv311', ...topics, '-W', '2']),
      ).rejects.toMatchObject({ code: 27 });
      for (const { topic, retain, payload } of packets.filter(({ packet }) => packet === 'PUBLISH')) {
        const message = ['-V', 'mqttv311', '-q', '1', '-t', topic, ...(retain ? ['-r'] : [])];
        await run('mosquitto_pub', [...tlsOf(device), ...message, '-m', JSON.stringify(payload)]);
      }
      await system.until(
        `SELECT 1 FROM devices WHERE device_id = 'ESP32-OUTSIDE7' AND current_firmware_version = '1.4.2'`,
      );
      await expect(
        run('mosquitto_pub', [...tlsOf(device), '-q', '1', '-t', 'paku/control', '-m', '{"heater":"on"}']),
      ).rejects.toThrow();
    });

    test('mosquitto_pub with MQTT 5 says that the protocol version is not supported', async () => {
      const device = await addDevice('ESP32-OUTSIDE7');
      const asMqtt5 = [...tlsOf(device), '-V', 'mqttv5', '-t', `paku/edge/${device.deviceId}/status`, '-m', status];
      await expect(run('mosquitto_pub', asMqtt5)).rejects.toThrow(/Unsupported protocol version/i);
      expect(system.log.join('\n')).toContain('mqtt ESP32-OUTSIDE7: refused, because it asks for MQTT 5');
    });

    test('a certificate that publishes as another device is disconnected, and nothing is stored', async () => {
      const device = await addDevice('ESP32-OUTSIDE2');
      const other = [...tlsOf(device), '-q', '1', '-t', 'paku/edge/ESP32-OTHER/status', '-m', status];
      await expect(run('mosquitto_pub', other)).rejects.toThrow();
      const asOther = [
        ...tlsOf({ ...device, deviceId: 'ESP32-OTHER' }),
        '-t',
        'paku/edge/ESP32-OTHER/status',
        '-m',
        status,
      ];
      await expect(run('mosquitto_pub', asOther)).rejects.toThrow();
      await system.runtime.idle();
      expect(await system.database.query(`SELECT 1 FROM devices WHERE device_id = 'ESP32-OTHER'`)).toEqual([]);
    });

    test('a certificate cannot use the commands, topics or name of another device', async () => {
      const thief = await addDevice('ESP32-OUTSIDE4');
      await addDevice('ESP32-OUTSIDE5');
      const tries = [
        ...['paku/devices/ESP32-OUTSIDE5/cmd/ota', 'paku/+/+/cmd/ota', 'paku/#', '#', '$aws/#'].map((filter) => [
          ...[...tlsOf(thief), '-t', filter],
        ]),
        [...tlsOf({ ...thief, deviceId: 'ESP32-OUTSIDE5' }), '-t', 'paku/edge/ESP32-OUTSIDE5/#'],
        [...tlsOf({ ...thief, deviceId: 'someone' }), '-t', 'paku/edge/ESP32-OUTSIDE4/#'],
      ];
      for (const attempt of tries) {
        // The client is disconnected or refused, so it ends before its timeout.
        await expect(run('mosquitto_sub', [...attempt, '-W', '20']), attempt.join(' ')).rejects.toMatchObject({
          code: expect.toSatisfy((code: number) => code !== 27),
          stdout: '',
        });
      }
      for (const topic of ['ota/status', 'ota/progress', 'ota/result'].map(
        (leaf) => `paku/devices/ESP32-OUTSIDE5/${leaf}`,
      )) {
        await expect(run('mosquitto_pub', [...tlsOf(thief), '-q', '1', '-t', topic, '-m', '{}'])).rejects.toThrow();
      }
      await system.runtime.idle();
      expect(
        await system.database.query(`SELECT 1 FROM devices WHERE device_id IN ('ESP32-OUTSIDE4', 'ESP32-OUTSIDE5')`),
      ).toEqual([]);
      expect(await system.database.query('SELECT 1 FROM rejected_messages')).toEqual([]);
    });

    test('an older certificate stops working when its device has used another one, and cannot stop that one', async () => {
      const device = await addDevice('ESP32-OUTSIDE9');
      const publish = ['-t', `paku/edge/${device.deviceId}/status`, '-q', '1', '-m', status];
      const uses = (certificateId: string) =>
        system.until(
          `SELECT 1 FROM devices WHERE device_id = 'ESP32-OUTSIDE9' AND certificate_id = '${certificateId}'`,
        );
      const authority = await CertificateAuthority.open(join(system.home, 'certificates'));
      await run('mosquitto_pub', [...tlsOf(device), ...publish]);
      const before = authority.certificateOf(device.deviceId) ?? '';
      await uses(before);
      const after = { ...device, ...(await authority.replaceDevice(device.deviceId)) };
      const stolen = replaced(device, { certificates: [before] });
      await run('mosquitto_pub', [...tlsOf(stolen), ...publish]);
      await system.runtime.tick();
      expect(authority.certificatesOf(device.deviceId).filter(({ id }) => authority.isRevoked(id))).toEqual([]);

      await run('mosquitto_pub', [...tlsOf(after), ...publish]);
      await uses(authority.certificateOf(device.deviceId) ?? '');
      await system.runtime.tick();
      await expect(run('mosquitto_pub', [...tlsOf(stolen), ...publish])).rejects.toThrow(/not authorised/i);
      await run('mosquitto_pub', [...tlsOf(after), ...publish]);
      expect(await cli.print('device', 'timeline', device.deviceId)).toContain('certificates revoked');
      expect(await cli.print('fleet')).toContain(
        'Device ESP32-OUTSIDE9 began to use another certificate, and its older certificate was revoked',
      );
    });

    test('a revoked device is disconnected and refused until it has a new certificate', async () => {
      const device = await addDevice('ESP32-OUTSIDE3');
      const publish = ['-t', `paku/edge/${device.deviceId}/status`, '-q', '1', '-m', status];
      await run('mosquitto_pub', [...tlsOf(device), ...publish]);
      await system.until(`SELECT 1 FROM devices WHERE device_id = 'ESP32-OUTSIDE3'`);
      const topic = `paku/edge/${device.deviceId}/#`;
      // Without line buffering, output to a pipe would arrive when the buffer is full.
      const held = spawn('stdbuf', ['-oL', 'mosquitto_sub', ...tlsOf(device), '-t', topic, '-d']);
      const cutOff = new Promise<number | null>((resolve) => held.on('close', resolve));
      await new Promise<void>((resolve) => {
        held.stdout.on('data', (text: Buffer) => text.includes('SUBACK') && resolve());
      });

      const revoke = ['device', 'revoke', device.deviceId, '--reason', 'stolen'];
      expect(await cli.run(...revoke)).toMatchObject({ code: 2, stderr: expect.stringContaining('--yes') });
      const revoked = await cli.json<Revoked>(...revoke, '--yes');
      expect(revoked).toMatchObject({
        device: {
          device_id: device.deviceId,
          revoked_reason: 'stolen',
          revoked_by: 'arn:aws:iam::000000000000:user/operator',
        },
      });
      expect(revoked.certificates).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/)]);
      // MOSQ_ERR_CONN_LOST
      expect(await cutOff).toBe(7);
      await expect(run('mosquitto_pub', [...tlsOf(device), ...publish])).rejects.toThrow(/not authorised/i);
      expect(await cli.print('device', 'timeline', device.deviceId)).toMatch(/device revoked .*stolen/);
      expect(await cli.run(...revoke, '--yes')).toMatchObject({
        code: 0,
        stdout: expect.stringContaining('1 certificate refused'),
      });

      const renewed = await addDevice('ESP32-OUTSIDE3');
      await run('mosquitto_pub', [...tlsOf(renewed), ...publish]);
      await expect(run('mosquitto_pub', [...tlsOf(replaced(device, revoked)), ...publish])).rejects.toThrow(
        /not authorised/i,
      );
      expect(await cli.print('device', 'reinstate', device.deviceId, '--reason', 'found')).not.toContain('stolen');
    });

    test('a device that never reported can be revoked', async () => {
      const device = await addDevice('ESP32-OUTSIDE6');
      const revoke = ['device', 'revoke', device.deviceId, '--reason', 'lost on its way', '--yes'];
      expect(await cli.print(...revoke)).toContain('It never reported: nothing was planned for it.');
      const publish = ['-t', `paku/edge/${device.deviceId}/status`, '-q', '1', '-m', status];
      await expect(run('mosquitto_pub', [...tlsOf(device), ...publish])).rejects.toThrow(/not authorised/i);
    });

    test('revoking an unknown device fails with a message', async () => {
      const revoke = ['device', 'revoke', 'ESP32-NOBODY', '--reason', 'x', '--yes'];
      expect(await cli.run(...revoke)).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('There is no device ESP32-NOBODY'),
      });
      expect(await cli.run('device', 'revoke', 'a/b', '--reason', 'x', '--yes')).toMatchObject({ code: 2 });
    });

    test('an image that curl uploads becomes a release, and its command reaches mosquitto_sub in one small packet', async () => {
      const { s3, region } = system.runtime.endpoints;
      const file = join(mkdtempSync(join(tmpdir(), 'paku-ota-image-')), 'firmware.bin');
      writeFileSync(file, buildImage({ version: '1.3.0' }));
      await run('curl', [
        ...['--fail', '--silent', '--show-error', '--aws-sigv4', `aws:amz:${region}:s3`],
        ...['-H', 'x-amz-content-sha256: UNSIGNED-PAYLOAD'],
        ...['--user', `${s3.accessKeyId}:${s3.secretAccessKey}`, '-T', file],
        `${s3.endpoint}/${s3.bucket}/firmware/1.3.0/esp32-s3.bin`,
      ]);
      await system.until(`SELECT 1 FROM firmware_releases WHERE version = '1.3.0'`);

      const device = await addDevice('ESP32-OUTSIDE1');
      const topic = `paku/devices/${device.deviceId}/cmd/ota`;
      const subscriber = spawn('mosquitto_sub', [...tlsOf(device), '-t', topic, '-q', '1', '-C', '1', '-W', '20']);
      const received = new Promise<string>((resolve) => {
        let text = '';
        subscriber.stdout.on('data', (chunk: Buffer) => {
          text += chunk.toString();
        });
        subscriber.on('close', () => resolve(text));
      });
      await system.database.query(
        `INSERT INTO rollout_configurations (name, firmware_version) VALUES ('outside', '1.3.0')`,
      );
      await system.runtime.tick();
      const command = JSON.parse(await received) as { url: string; checksum: string; version: string };
      expect(Object.keys(command)).toEqual(['url', 'checksum', 'version']);

      const { stdout } = await run('curl', [
        '--fail',
        '--silent',
        '--show-error',
        '-L',
        command.url,
        '-w',
        '%{size_download}',
        '-o',
        '/dev/null',
      ]);
      expect(Number(stdout)).toBe(buildImage({ version: '1.3.0' }).length);
      const tampered = command.url.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'));
      await expect(run('curl', ['--fail', '--silent', '--show-error', tampered])).rejects.toThrow('404');
    });
  },
);
