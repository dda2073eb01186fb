import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startRuntime } from '../../../local/runtime/runtime.ts';
import { openPglite } from '../../../local/services/rds-data/index.ts';
import { ASSEMBLY } from '../../support/assembly.ts';

const OWNER = { role: undefined, statementTimeoutMs: 0 };

let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'paku-home-'));
  const engine = await openPglite(join(home, 'postgres'));
  await engine.use(OWNER, async (query) => {
    await query(`CREATE TABLE schema_migrations (
      version integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`);
    await query(`INSERT INTO schema_migrations (version, name) VALUES (1, 'initial'), (13, 'rejections_by_time')`);
  });
  await engine.close();
});
afterAll(() => rm(home, { recursive: true }));

const start = () => startRuntime({ assembly: ASSEMBLY, home, ports: { mqtt: 0, aws: 0, api: 0 } });

test('a home of an older schema is not started, and the message says which home and what to do', async () => {
  await expect(start()).rejects.toThrow(
    new RegExp(
      `^The database in ${home} was made by another version.* 13 \\(rejections_by_time\\).*\\n.*rm -r '${home}'`,
    ),
  );
  expect(existsSync(join(home, 'lock'))).toBe(false);
});

test('once the folder is removed it starts', async () => {
  await rm(home, { recursive: true });
  const runtime = await start();
  expect(existsSync(join(home, 'endpoints.json'))).toBe(true);
  await runtime.close();
});
