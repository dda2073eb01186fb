import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  parseLimit,
  parseShare,
  parseStages,
  parseWindow,
  readDraft,
} from '../../../../cli/commands/rollout/draft-flags.ts';
import { sendWindow, stagesSchema } from '../../../../core/policy/index.ts';

describe('--stages', () => {
  test.each([
    ['5%,25%:60m,100%', [{ percentage: 5 }, { percentage: 25, soak_minutes: 60 }, { percentage: 100 }]],
    [
      '3:1.5h, 50%:2d',
      [
        { count: 3, soak_minutes: 90 },
        { percentage: 50, soak_minutes: 2880 },
      ],
    ],
    ['0.5%', [{ percentage: 0.5 }]],
    ['group=the lab:2h,5%', [{ group: 'the lab', soak_minutes: 120 }, { percentage: 5 }]],
    [
      '1:person,5%:1d:person',
      [
        { count: 1, until: 'a person advances' },
        { percentage: 5, soak_minutes: 1440, until: 'a person advances' },
      ],
    ],
  ])('%s is parsed into what the API accepts', (text, stages) => {
    expect(parseStages(text)).toEqual(stages);
    expect(stagesSchema.safeParse(stages).success).toBe(true);
  });

  test.each(['', '5%,', 'half', '5%:60', '5%:60s', '-5%', '5 %', '5%:person:60m', 'group=', 'lab'])(
    '"%s" is refused with an example of the form',
    (text) => {
      expect(() => parseStages(text)).toThrow('expected a form like 5%, 25%:60m, 10:1h, group=lab or 5%:1d:person');
    },
  );
});

describe('--window', () => {
  test.each([
    ['22:00-05:00', { from: '22:00', to: '05:00' }],
    [
      'mon-wed 22:00-05:00 Europe/Rome',
      { days: ['mon', 'tue', 'wed'], from: '22:00', to: '05:00', time_zone: 'Europe/Rome' },
    ],
    ['fri-mon,wed 08:00-24:00', { days: ['fri', 'sat', 'sun', 'mon', 'wed'], from: '08:00', to: '24:00' }],
  ])('%s is parsed into what the API accepts', (text, window) => {
    expect(parseWindow(text)).toEqual(window);
    expect(sendWindow.safeParse(window).success).toBe(true);
  });

  test('a text that is not a window, or has an unknown weekday, is refused', () => {
    expect(() => parseWindow('tonight')).toThrow('Expected a form like "mon-fri 22:00-05:00 Europe/Rome"');
    expect(() => parseWindow('mon-fry 22:00-05:00')).toThrow('"mon-fry" is not a valid weekday');
  });
});

test('a share is parsed from a percentage or a fraction', () => {
  expect([parseShare('10%'), parseShare('0.1'), parseShare('100%'), parseShare('0')]).toEqual([0.1, 0.1, 1, 0]);
  for (const text of ['10', '101%', 'x', '-1%']) expect(() => parseShare(text)).toThrow('a share such as 10% or 0.1');
});

describe('a draft', () => {
  test('targets every device of the model and is named after model and version by default', () => {
    expect(readDraft({ model: 'esp32-s3', version: '2.1.0' })).toEqual({
      name: 'esp32-s3 2.1.0',
      device_model: 'esp32-s3',
      firmware_version: '2.1.0',
    });
  });

  test('targets groups or single devices when flags name them', () => {
    const base = { model: 'esp32-s3', version: '2.1.0' };
    expect(readDraft({ ...base, group: ['vans'], from: ['1.0.0'] })).toMatchObject({
      target_type: 'group',
      target_filter: { groups: ['vans'], versions: ['1.0.0'] },
    });
    expect(readDraft({ ...base, device: ['a'], mac: ['A0:B7:65:20:E9:55'], group: ['vans'] })).toMatchObject({
      target_type: 'specific',
      target_filter: { device_ids: ['a'], mac_addresses: ['A0:B7:65:20:E9:55'], groups: ['vans'] },
    });
    expect(readDraft({ ...base, attribute: ['site=rome', 'year=2024', 'test=true'] })).toMatchObject({
      target_type: 'all',
      target_filter: { metadata: { site: 'rome', year: 2024, test: true } },
    });
  });

  test('targets devices by what they state', () => {
    const base = { model: 'esp32-s3', version: '2.1.0' };
    const fact = ['board_revision=C', 'battery_percent>=50', 'battery_percent <= 90', 'slot_bytes >= 1310720'];
    expect(readDraft({ ...base, fact })).toMatchObject({
      target_type: 'all',
      target_filter: {
        facts: { board_revision: 'C', battery_percent: { min: 50, max: 90 }, slot_bytes: { min: 1_310_720 } },
      },
    });
    for (const wrong of ['battery_percent', 'battery_percent>50', 'battery_percent>=much', '=C', 'board_revision=']) {
      expect(() => readDraft({ ...base, fact: [wrong] })).toThrow(`"${wrong}" is not a condition on a fact`);
    }
  });

  test('keeps the exceptions of the rollout before that no flag names', () => {
    const before = {
      device_model: 'esp32-s3',
      firmware_version: '2.1.0',
      target_filter: { groups: ['vans'], except: { groups: ['lab'], versions: ['1.0.0'] } },
    };
    expect(readDraft({ exceptGroup: ['shop'] }, before).target_filter).toEqual({
      groups: ['vans'],
      except: { groups: ['shop'], versions: ['1.0.0'] },
    });
  });

  test('is read from a file, whose values flags override', () => {
    const folder = mkdtempSync(join(tmpdir(), 'paku-ota-cli-'));
    const file = join(folder, 'rollout.json');
    try {
      writeFileSync(
        file,
        JSON.stringify({
          name: 'from the file',
          device_model: 'esp32-s3',
          firmware_version: '2.0.0',
          target_type: 'group',
          target_filter: { groups: ['vans'], versions: ['1.0.0'] },
          jitter_minutes: 10,
        }),
      );
      expect(readDraft({ file, version: '2.1.0', group: ['boats'], draft: true })).toEqual({
        name: 'from the file',
        device_model: 'esp32-s3',
        firmware_version: '2.1.0',
        target_type: 'group',
        target_filter: { groups: ['boats'], versions: ['1.0.0'] },
        jitter_minutes: 10,
        is_active: false,
      });
      writeFileSync(file, '[]');
      expect(() => readDraft({ file })).toThrow(`--file ${file}: expected an object`);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('without a model or version is an error that names what is missing', () => {
    expect(() => readDraft({ model: 'esp32-s3' })).toThrow('needs --model and --version');
  });
});

test('reads the limit for each value of an attribute', () => {
  expect(parseLimit('site=2')).toEqual({ attribute: 'site', max: 2 });
  expect(parseLimit(' gateway id = 10 ')).toEqual({ attribute: 'gateway id', max: 10 });
  for (const text of ['site', 'site=0', 'site=1.5', '=2', 'site=x', 'a=b=2', 'site=1000000'])
    expect(() => parseLimit(text)).toThrow('such as site=2');
});
