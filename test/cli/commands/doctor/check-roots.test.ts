import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer, type Server } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkRoots } from '../../../../cli/commands/doctor/check-roots.ts';
import { CertificateAuthority } from '../../../../local/kernel/index.ts';

const folders: string[] = [];
const servers: Server[] = [];

/** A server whose certificate an authority of its own has issued. @returns its endpoint, and the root of its chain */
async function serve() {
  const folder = mkdtempSync(join(tmpdir(), 'paku-ota-roots-'));
  folders.push(folder);
  const authority = await CertificateAuthority.open(folder);
  const server = createServer(await authority.issueServer());
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { endpoint: { host: '127.0.0.1', port }, root: readFileSync(authority.caFile, 'utf8') };
}

let known: Awaited<ReturnType<typeof serve>>;
let moved: Awaited<ReturnType<typeof serve>>;
beforeAll(async () => {
  [known, moved] = await Promise.all([serve(), serve()]);
});
afterAll(() => {
  for (const server of servers) server.close();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

test('doctor passes where every server that devices use has a root that devices get', async () => {
  expect(await checkRoots([known.endpoint], known.root)).toMatchObject({ outcome: 'pass' });
});

test('doctor fails where one server has a chain to another root, and names it', async () => {
  const { outcome, detail } = await checkRoots([known.endpoint, moved.endpoint], known.root);
  expect(outcome).toBe('fail');
  expect(detail).toContain(`127.0.0.1:${moved.endpoint.port}: `);
  expect(detail).not.toContain(`:${known.endpoint.port}`);
  expect(detail).toContain('add the root of this chain to its ca.pem');
});
