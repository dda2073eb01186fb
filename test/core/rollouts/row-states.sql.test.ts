import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeState, explainDevice, listStalledRollouts } from '../../../core/explain/index.ts';
import { listRollouts } from '../../../core/rollouts/index.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addDevices, addRelease, addRollout } from '../../support/rows.ts';
import { TestService } from '../../support/service.ts';

let db: TestDatabase;
let service: TestService;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());

async function begin(): Promise<void> {
  await db.empty();
  await addRelease(db.app, '2.0.0');
  await addRelease(db.app, '2.0.1');
  service = new TestService(db.app, db.roles);
}

const REFUSED = 'refused';
/** Values that a column refuses, and values with which the row is used. */
type Values = Readonly<Record<string, 'refused' | 'honored'>>;
const TIMES: Values = { "'infinity'": REFUSED, "'-infinity'": REFUSED, "'200000-01-01'": REFUSED };
const PAST = "'2026-03-01T00:00:00Z'";
const FUTURE = "'2027-06-01T00:00:00Z'";
const TIME: Values = { ...TIMES, NULL: 'honored', [PAST]: 'honored', [FUTURE]: 'honored' };
const SET_TIME: Values = { ...TIMES, [PAST]: 'honored', [FUTURE]: 'honored' };
const FLAG: Values = { true: 'honored', false: 'honored' };
const minutes = (max: number): Values => ({ [max + 1]: REFUSED, '-1': REFUSED, [max]: 'honored' });
const NO_LIMIT: Values = { NULL: 'honored', 0: REFUSED, '-1': REFUSED, 2147483647: 'honored' };
const TEXT: Values = { NULL: 'honored', "repeat('x', 3000)": REFUSED, "E'a\\nb'": 'honored' };
const JSONS: Values = { "'null'": 'honored', '\'"x"\'': 'honored', "'[1]'": 'honored', '\'{"a": 1}\'': 'honored' };
const COUNTER: Values = { 0: 'honored', 1000000: 'honored', 2147483647: REFUSED };

/** Every column that a person may write by SQL. */
const COLUMNS: Readonly<Record<string, Readonly<Record<string, Values>>>> = {
  rollout_configurations: {
    name: { "''": REFUSED, "'123'": REFUSED, "repeat('x', 256)": REFUSED, "'other'": 'honored' },
    firmware_version: { "''": REFUSED, "repeat('x', 65)": REFUSED, "'2.0.1'": 'honored', "'9.9.9'": 'honored' },
    device_model: { "''": REFUSED, "repeat('x', 65)": REFUSED, "'esp32-c3'": 'honored' },
    target_type: { "'nobody'": REFUSED, "'group'": 'honored', "'canary'": 'honored', "'specific'": 'honored' },
    target_filter: { NULL: REFUSED, ...JSONS, '\'{"groups": ["none"]}\'': 'honored' },
    rollout_percentage: { 0: REFUSED, '-1': REFUSED, 101: REFUSED, 1: 'honored', 50: 'honored' },
    target_hash_cutoff: { "'zzz'": REFUSED, "''": REFUSED, NULL: 'honored', "repeat('0', 32)": 'honored' },
    member_percentage: { 101: REFUSED, '-1': REFUSED, NULL: 'honored', 0: 'honored' },
    counted_at: { "'infinity'": REFUSED, NULL: 'honored', "'2026-01-01'": 'honored' },
    allow_downgrade: FLAG,
    include_unknown: FLAG,
    stepping_stones: { NULL: 'honored', ...JSONS, '\'["1.5.0"]\'': 'honored' },
    newest_release_id: { 0: 'honored', 1: 'honored' },
    priority: { 2147483647: 'honored', '-2147483648': 'honored' },
    keep_open: FLAG,
    start_at: TIME,
    end_at: TIME,
    after_rollout_id: { NULL: 'honored', 0: REFUSED, 9999: REFUSED, id: REFUSED },
    send_window: { NULL: 'honored', ...JSONS },
    jitter_minutes: minutes(1440),
    stages: { NULL: 'honored', ...JSONS, "'[]'": 'honored', '\'[{"count": 1}]\'': 'honored' },
    failure_threshold: { "'NaN'": REFUSED, 1.1: REFUSED, '-0.1': REFUSED, 0: 'honored', 1: 'honored' },
    failure_count: NO_LIMIT,
    max_restart_ratio: { 0: REFUSED, 1001: REFUSED, "'NaN'": REFUSED, NULL: 'honored', 1: 'honored' },
    min_reports: { 0: REFUSED, '-1': REFUSED, 2147483647: 'honored' },
    max_in_flight: NO_LIMIT,
    max_in_flight_per: {
      NULL: 'honored',
      "'null'": REFUSED,
      "'[1]'": REFUSED,
      '\'{"attribute": "site", "max": 0}\'': REFUSED,
      '\'{"attribute": "site", "max": 1}\'': 'honored',
    },
    first_stage_covers: {
      NULL: 'honored',
      "'null'": REFUSED,
      "'[]'": REFUSED,
      "'[1]'": REFUSED,
      '\'["site"]\'': REFUSED,
      '\'["version", "attributes.a", "attributes.b", "attributes.c"]\'': REFUSED,
      '\'["version", "attributes.site", "facts.board_revision"]\'': 'honored',
    },
    max_per_minute: NO_LIMIT,
    max_attempts: { 0: REFUSED, 21: REFUSED, 20: 'honored' },
    attempt_timeout_minutes: minutes(1440),
    boot_timeout_minutes: minutes(1440),
    probation_minutes: { ...minutes(1440), 0: 'honored' },
    give_up_days: minutes(365),
    is_active: FLAG,
    paused_at: TIME,
    paused_reason: TEXT,
    paused_by: TEXT,
    completed_at: TIME,
    aborted_at: TIME,
    approved_content: { NULL: 'honored', "'null'": REFUSED, "'[1]'": REFUSED, '\'{"a": 1}\'': 'honored' },
    approved_targets: { NULL: 'honored', '-1': REFUSED, 0: 'honored' },
    approved_at: TIME,
    created_at: SET_TIME,
    created_by: TEXT,
    updated_at: SET_TIME,
  },
  rollout_runtime: {
    is_stopped: FLAG,
    generation: COUNTER,
    target_version: { NULL: 'honored', "'x'": 'honored' },
    stage: { 99: 'honored', '-1': 'honored' },
    start_limit: { ...COUNTER, NULL: 'honored' },
    started_count: COUNTER,
    finished_count: COUNTER,
    in_flight: { '-1': REFUSED, 0: 'honored', 1000: 'honored', 2147483647: REFUSED },
    minute: TIME,
    sent_in_minute: COUNTER,
    granted: COUNTER,
    sends_until: TIME,
    scan_fingerprint: { NULL: 'honored', "'x'": 'honored' },
    scan_cursor: { NULL: 'honored', "'x'": 'honored' },
    changes_from_xid: { NULL: 'honored', "'1'": 'honored' },
  },
};

const CASES = Object.entries(COLUMNS).flatMap(([table, columns]) =>
  Object.entries(columns).flatMap(([column, values]) =>
    Object.entries(values).map(([value, outcome]) => ({
      row: `${table}.${column} = ${value}`,
      table,
      column,
      value,
      outcome,
    })),
  ),
);

test('the table below has every column of a rollout, except its id', async () => {
  for (const [table, columns] of Object.entries(COLUMNS)) {
    const rows = await db.app.query<{ column_name: string }>(
      'SELECT column_name FROM information_schema.columns WHERE table_name = :table',
      { table },
    );
    const own = rows.map(({ column_name: name }) => name).filter((name) => name !== 'id' && name !== 'rollout_id');
    expect(Object.keys(columns).sort()).toEqual(own.sort());
  }
});

/** A rollout with an absent device, one under way and one that is proven, beside another rollout that is good. */
async function startTwoRollouts(): Promise<void> {
  await begin();
  await addDevices(db.app, 3);
  await addDevices(db.app, 2, { prefix: 'good' });
  service.absent.add('d0');
  service.absent.add('good0');
  await addRollout(db.app, 'edited', '2.0.0', { stages: [], probation_minutes: 1 });
  await addRollout(db.app, 'good', '2.0.0', {
    stages: [],
    priority: 5,
    target_filter: { device_ids: ['good0', 'good1'] },
  });
  await service.tick();
  await service.succeed('d2');
  await service.tick();
  service.absent.clear();
}

const write = (table: string, column: string, value: string) =>
  db.app.query(
    `UPDATE ${table} SET ${column} = ${value} WHERE ${table === 'rollout_runtime' ? 'rollout_id' : 'id'} = 1`,
  );

async function stateOfEdited(): Promise<string | undefined> {
  const rollouts = await listRollouts(db.app, {}, null, 10);
  return rollouts.find(({ rollout_id: id }) => id === 1)?.state;
}

// A write that is refused changes nothing, so that one rollout serves all.
describe('the database refuses', () => {
  beforeAll(async () => {
    await begin();
    await addRollout(db.app, 'edited', '2.0.0');
    await service.tick();
  });

  test.each(CASES.filter(({ outcome }) => outcome === REFUSED))('$row', async ({ table, column, value }) => {
    await expect(write(table, column, value)).rejects.toThrow(/violates|null value/);
  });
});

describe.each(CASES.filter(({ outcome }) => outcome === 'honored'))(
  'a rollout with $row',
  ({ table, column, value }) => {
    test('does what its state says, is explained, and stops no other rollout', async () => {
      await startTwoRollouts();
      await write(table, column, value);
      const before = service.sent.length;
      const stateBefore = await stateOfEdited();
      await service.statuses(['d0', 'good0', 'good1'], '1.0.0', 5000);
      const sent = service.sent.slice(before).map(({ deviceId }) => deviceId);
      expect(sent).toContain('good0');
      if (stateBefore !== 'active') expect(sent).not.toContain('d0');
      await service.tick();
      await service.tick();
      const stateAfter = await stateOfEdited();
      if (stateAfter !== 'active' && stateAfter !== 'scheduled') {
        const pending = await db.app.query(
          `SELECT device_id FROM device_update_status
           WHERE rollout_id = 1 AND completed_at IS NULL AND status IN ('pending', 'sent')`,
        );
        expect(pending).toEqual([]);
      }
      await service.succeed('good0');
      const [good] = await db.app.query(
        `SELECT status, completed_at IS NOT NULL AS ended FROM device_update_status WHERE device_id = 'good0'`,
      );
      expect(good).toEqual({ status: 'success', ended: true });
      for (const device of ['d0', 'd1', 'd2']) {
        const { rule, next } = (await explainDevice(db.app, 1, device, service.now)) ?? { rule: '', next: '' };
        expect(`${rule}; ${next}`).toMatch(/^[^;].*; ./s);
        expect(`${rule}; ${next}`).not.toMatch(/: null$|: null;|undefined|NaN|Invalid Date/);
      }
      expect(await describeState(db.app, 1, service.now)).toBeTruthy();
      await listStalledRollouts(db.app, service.now);
    });
  },
);

test('a state of the view is derived from the same columns', async () => {
  await startTwoRollouts();
  await db.app.query('UPDATE rollout_configurations SET aborted_at = :now::timestamptz WHERE id = 1', {
    now: service.now,
  });
  await service.tick();
  expect(await db.app.query('SELECT state FROM rollout_overview WHERE rollout_id = 1')).toEqual([{ state: 'aborted' }]);
  const events = await db.app.query(
    `SELECT event, decided_by, reason FROM rollout_timeline WHERE rollout_id = 1 ORDER BY event_id DESC LIMIT 1`,
  );
  expect(events).toEqual([{ event: 'rollout_aborted', decided_by: 'SQL', reason: 'aborted_at was set by SQL' }]);
});
