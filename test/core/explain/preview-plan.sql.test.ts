import { expect, onTestFinished, test } from 'vitest';
import type { Sql } from '../../../core/db/index.ts';
import { NO_RULES, previewRollout } from '../../../core/explain/index.ts';
import { loadRolloutRuntime } from '../../../core/rollouts/index.ts';
import { openTestDatabase } from '../../support/database.ts';
import { addDevices, addRelease, addRollout } from '../../support/rows.ts';

test('the preview of a saved rollout orders its devices once, although PostgreSQL has not analyzed the tables yet', async () => {
  const db = await openTestDatabase();
  onTestFinished(() => db.close());
  await db.owner.query('ALTER TABLE devices SET (autovacuum_enabled = false)');
  await addRelease(db.app, '2.0.0');
  const id = await addRollout(db.app, 'r', '2.0.0', { is_active: false, stages: [{ percentage: 10 }] });
  await addDevices(db.owner, 300);
  const rollout = await loadRolloutRuntime(db.app, id);
  if (rollout === undefined) throw new Error('the rollout is gone');
  const windows: string[] = [];
  const watched: Sql = {
    async query(sql, values = {}) {
      if (sql.includes('takes_part')) {
        const plan = await db.owner.query<{ 'QUERY PLAN': string }>(`EXPLAIN (ANALYZE, TIMING OFF) ${sql}`, values);
        windows.push(...plan.flatMap((line) => /WindowAgg .*loops=(\d+)/.exec(line['QUERY PLAN'])?.[1] ?? []));
      }
      return db.app.query(sql, values);
    },
  };
  expect(await previewRollout(watched, { ...rollout, isSaved: true }, NO_RULES)).toMatchObject({ targeted: 300 });
  expect(windows.length).toBeGreaterThan(2);
  expect(windows).toEqual(windows.map(() => '1'));
});
