import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { TargetFilter } from '../../../api/rollouts.ts';
import { explainDevice } from '../../../core/explain/index.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addDevices, addRelease, addRollout } from '../../support/rows.ts';
import { TestService } from '../../support/service.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());
beforeEach(async () => {
  await db.empty();
  await addRelease(db.app, '2.0.0');
  await addDevices(db.app, 1);
  await db.app.query(
    `UPDATE devices SET mac_address = 'A0:B7:65:00:00:01', metadata = '{"revision": "A", "slot": 3}', facts = '{"board_revision": "3", "battery_percent": 20}'`,
  );
  await db.app.query(`INSERT INTO device_groups (device_id, group_name) VALUES ('d0', 'lab'), ('d0', 'vans')`);
});

const many = (n: number) => Array.from({ length: n }, (_, index) => `v${index}`);

const REASONS: readonly (readonly [filter: TargetFilter, rule: string])[] = [
  [{ metadata: { revision: 'B' } }, 'has the attribute revision="A"; target_filter.metadata asks for "B"'],
  [
    { metadata: { slot: 3, revision: ['B', 'C'] } },
    'has the attribute revision="A"; target_filter.metadata asks for "B" or "C"',
  ],
  [{ metadata: { slot: '3' } }, 'has the attribute slot=3; target_filter.metadata asks for "3"'],
  [{ metadata: { site: 'rome' } }, 'has no attribute site; target_filter.metadata asks for "rome"'],
  [
    { metadata: { revision: many(7) } },
    'has the attribute revision="A"; target_filter.metadata asks for one of "v0", "v1", "v2", "v3", "v4" and 2 more',
  ],
  [{ facts: { board_revision: ['4', '5'] } }, 'states board_revision="3"; target_filter.facts asks for "4" or "5"'],
  [
    { facts: { battery_percent: { min: 50, max: 90 } } },
    'states battery_percent=20; target_filter.facts asks for 50 to 90',
  ],
  [{ facts: { psram_bytes: { max: 9 } } }, 'does not state psram_bytes; target_filter.facts asks for up to 9'],
  [{ groups: ['boats'] }, 'is in none of the groups in target_filter: boats'],
  [{ versions: ['1.4.0', '1.5.0'] }, 'is on 1.0.0, which is not in target_filter.versions: 1.4.0, 1.5.0'],
  [{ device_ids: ['d1'] }, 'is not one of the devices in target_filter'],
  [{ except: { device_ids: ['d0'] } }, 'is one of the devices that target_filter.except excludes by id'],
  [
    { except: { mac_addresses: ['A0:B7:65:00:00:01'] } },
    'has the MAC address A0:B7:65:00:00:01, which target_filter.except excludes',
  ],
  [{ except: { groups: ['boats', 'lab'] } }, 'is in the group lab, which target_filter.except excludes'],
  [
    { groups: ['vans'], except: { groups: ['lab', 'vans'] } },
    'is in the groups lab, vans, which target_filter.except excludes',
  ],
  [{ except: { versions: ['1.0.0'] } }, 'is on 1.0.0, which target_filter.except.versions excludes'],
  [
    { except: { metadata: { revision: ['A', 'B'] } } },
    'has the attribute revision="A"; target_filter.except excludes "A" or "B"',
  ],
  [
    { metadata: { slot: 3 }, except: { metadata: { site: 'x', revision: 'A' } } },
    'has the attribute revision="A"; target_filter.except excludes "A"',
  ],
  [
    { except: { facts: { battery_percent: { max: 30 } } } },
    'states battery_percent=20; target_filter.except excludes up to 30',
  ],
  [
    { except: { metadata: { site: 'lab-3', constructor: 'x' }, facts: { psram_bytes: 0 } } },
    'may be updated; target_filter.except does not exclude it: it has no attribute site, constructor and does not state psram_bytes',
  ],
];

test.each(REASONS)(
  'with the filter %j a device is explained by what it has and what was asked',
  async (filter, rule) => {
    const id = await addRollout(db.app, 'r', '2.0.0', { target_filter: filter, stages: [] });
    const service = new TestService(db.app, db.roles);
    expect((await explainDevice(db.app, id, 'd0', service.now))?.rule).toBe(rule);
  },
);
