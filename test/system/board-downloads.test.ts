import { readFileSync } from 'node:fs';
import { connect as connectTls, type PeerCertificate } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildImage } from '../../fleet/build-image.ts';
import type { HttpClientKind } from '../../fleet/http-client.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';

const IMAGE = buildImage({ version: '1.1.0' });

let system: TestSystem;
const links = new Map<string, string>();

beforeAll(async () => {
  system = await startTestSystem();
  for (const httpClient of ['arduino', 'esp-idf'] satisfies HttpClientKind[]) {
    const device = await system.device({ deviceId: httpClient, httpClient });
    device.on('state', (event) => event.kind === 'command' && links.set(httpClient, event.command.url));
  }
  await system.until('SELECT count(*)::integer AS n FROM devices', ({ n }: { n: number }) => n === 2);
  await system.upload('firmware/1.1.0/esp32-s3.bin', IMAGE);
  await system.until(`SELECT 1 FROM firmware_releases WHERE version = '1.1.0'`);
  await system.database.query(
    `INSERT INTO rollout_configurations (name, firmware_version, stages) VALUES ('boards', '1.1.0', '[]')`,
  );
  await system.runtime.tick();
});
afterAll(() => system?.close());

describe('the local system delivers an image', () => {
  test.each([
    ['arduino', 'which keeps the connection across a redirect to the same host name'],
    ['esp-idf', 'which keeps the Host header across a redirect to the same host name'],
  ])('at the first try to the HTTP client of %s, %s', async (deviceId) => {
    const update = await system.until<{ attempt: number; result_code: number }>(
      `SELECT attempt, result_code FROM device_update_status WHERE device_id = '${deviceId}' AND result_code IS NOT NULL`,
    );
    expect(update).toEqual({ attempt: 1, result_code: 0 });
  });

  test('in parts to a client that asks for the size with HEAD first, as esp_https_ota does', async () => {
    const link = String(links.get('esp-idf'));
    const head = await fetch(link, { method: 'HEAD', redirect: 'manual' });
    expect([head.status, head.headers.get('content-length'), head.headers.get('accept-ranges')]).toEqual([
      200,
      String(IMAGE.length),
      'bytes',
    ]);
    const part = await fetch(link, { headers: { range: 'bytes=0-1023' } });
    expect([part.status, part.headers.get('content-range')]).toEqual([206, `bytes 0-1023/${IMAGE.length}`]);
    // The next parts come from the address that the first one was redirected to.
    const next = await fetch(part.url, { headers: { range: `bytes=1024-${IMAGE.length}` } });
    const bytes = Buffer.concat([Buffer.from(await part.arrayBuffer()), Buffer.from(await next.arrayBuffer())]);
    expect(bytes.equals(IMAGE)).toBe(true);
  });

  test('only by GET at the address that a link redirects to, as S3 does with a URL that is presigned for GET', async () => {
    const redirect = await fetch(String(links.get('arduino')), { redirect: 'manual' });
    const location = String(redirect.headers.get('location'));
    expect(redirect.status).toBe(302);
    expect(new URL(location).origin).toBe(system.runtime.endpoints.api.url);
    expect((await fetch(location, { method: 'HEAD' })).status).toBe(403);
    expect((await fetch(location)).status).toBe(200);
  });

  test('and answers HEAD of an invalid link with 404, without a body', async () => {
    const link = `${system.runtime.endpoints.api.url}/d/${'A'.repeat(24)}`;
    const answer = await fetch(link, { method: 'HEAD' });
    expect([answer.status, await answer.text()]).toEqual([404, '']);
  });
});

/** The names that mbedTLS 2.28 compares a host with: DNS names, and never IP addresses. */
const dnsNamesOf = ({ subjectaltname = '' }: PeerCertificate): string[] =>
  [...subjectaltname.matchAll(/DNS:([^,]+)/g)].map(([, name]) => String(name));

test('the certificate of the broker has its address as a DNS name too, for clients that ignore IP addresses in it', async () => {
  const { host, port, caFile } = system.runtime.endpoints.mqtt;
  const { certificateFile, privateKeyFile } = await system.runtime.addDevice('arduino');
  const [ca, cert, key] = [caFile, certificateFile, privateKeyFile].map((file) => readFileSync(file));
  const names = await new Promise<string[]>((resolve, reject) => {
    const socket = connectTls({ host, port, ...{ ca: ca ?? '', cert: cert ?? '', key: key ?? '' } }, () => {
      resolve(dnsNamesOf(socket.getPeerCertificate()));
      socket.end();
    });
    socket.on('error', reject);
  });
  expect(names).toContain(host);
});
