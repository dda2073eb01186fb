import { describe, expect, test } from 'vitest';
import { decodeRuleMessage } from '../../../core/ingest/index.ts';
import { KNOWN_FACT_NAMES, knownFact } from '../../../core/protocol/index.ts';
import { parseFacts } from '../../../lambdas/ingest-status/parse-facts.ts';
import { parseStatus } from '../../../lambdas/ingest-status/status-message.ts';
import { sendersOf } from '../../support/senders.ts';

const RECEIVED = new Date('2026-03-01T12:00:00Z');

function parse(payload: string) {
  const topic = 'paku/edge/van-1/status';
  const bytes = Buffer.from(payload).toString('base64');
  const body = JSON.stringify({ payload: bytes, topic, received_at: RECEIVED.getTime(), client_id: 'van-1' });
  const decoded = decodeRuleMessage(body, sendersOf(topic), RECEIVED);
  if (!decoded.ok) throw new Error(decoded.reason.reason);
  return parseStatus(decoded.value);
}

const KNOWN = {
  slot_bytes: 1_310_720,
  chip_revision: 301,
  flash_bytes: 4_194_304,
  psram_bytes: 0,
  board_revision: 'C',
  battery_percent: 80,
  free_heap_bytes: 150_000,
  reset_reason: 'power_on',
};

describe('a known fact is read', () => {
  test.each([
    ['as a field of the status', KNOWN],
    ['as a field of the object facts', { facts: KNOWN }],
  ])('%s', (_, payload) => {
    expect(parseFacts(payload)).toEqual({ values: KNOWN, fault: null });
  });

  const ALIASES = KNOWN_FACT_NAMES.flatMap((name) => knownFact(name).aliases.map((alias) => [alias, name] as const));
  test.each(ALIASES)('by its alias %s', (alias, name) => {
    const [field = '', part] = alias.split('.');
    const payload = { [field]: part === undefined ? KNOWN[name] : { [part]: KNOWN[name] } };
    expect(parseFacts(payload).values).toEqual({ [name]: KNOWN[name] });
  });

  test.each([
    ['a number as text', { slot_size: '1310720' }, { slot_bytes: 1_310_720 }],
    ['a percentage as text', { battery_level: '80%' }, { battery_percent: 80 }],
    ['a number of a fraction', { free_heap: 1023.9 }, { free_heap_bytes: 1023 }],
    ['a revision as people write it', { chip_revision: 'v3.1' }, { chip_revision: 301 }],
    ['a revision without its letter', { chip_revision: '1.0' }, { chip_revision: 100 }],
    ['a board revision that is a number', { board_revision: 3 }, { board_revision: '3' }],
    ['the number of a reset reason', { reset_reason: 8 }, { reset_reason: '8' }],
    ['the first that can be used', { slot_bytes: 'big', slot_size: 1_310_720 }, { slot_bytes: 1_310_720 }],
    ['no text that the program does not have', { board_revision: '(null)', reset_reason: 'n/a' }, {}],
    ['nothing that is empty', { board_revision: '', slot_bytes: null, facts: null }, {}],
  ])('as %s', (_, payload, values) => {
    expect(parseFacts(payload)).toEqual({ values, fault: null });
  });

  test.each([
    [
      'a size in megabytes',
      { flash_size: 4 },
      'flash_size is 4; expected bytes, a number from 262144 to 1099511627776',
    ],
    ['a size in kilobytes', { slot_size: 1280 }, 'slot_size is 1280; expected bytes, a number from 4096 to'],
    ['a negative size', { slot_bytes: -1 }, 'slot_bytes is -1; expected bytes, a number from 4096 to 1099511627776'],
    ['an infinite size', { slot_bytes: '1e999' }, 'slot_bytes is "1e999"; expected bytes'],
    ['a list', { slot_bytes: [1_310_720] }, 'slot_bytes is [1310720]; expected bytes'],
    [
      'a voltage beyond its range',
      { battery_percent: 3700 },
      'battery_percent is 3700; expected a number from 0 to 100',
    ],
    ['a long text', { board_revision: 'C'.repeat(65) }, 'expected text of 1 to 64 characters'],
    ['an object', { reset_reason: { code: 8 } }, 'reset_reason is {"code":8}; expected text'],
  ])('not as %s', (_, payload, fault) => {
    expect(parseFacts(payload)).toEqual({ values: {}, fault: expect.stringContaining(fault) });
  });
});

describe('other facts', () => {
  test('are read of the object facts only', () => {
    const facts = { site: 'rome', floors: 3, 'has-battery': true, 'modem.fw': '1.2' };
    expect(parseFacts({ heater_status: 'off', facts })).toEqual({ values: facts, fault: null });
  });

  test.each<[string, unknown, string]>([
    ['no object', [1, 2], 'facts is [1,2]; expected an object'],
    ['text', 'slot=5', 'facts is "slot=5"; expected an object'],
    ['a name with a space', { 'a b': 1 }, 'facts has the name "a b"'],
    ['a name of 33 characters', { [`a${'b'.repeat(32)}`]: 1 }, 'facts has the name "abbb'],
    ['an empty name', { '': 1 }, 'facts has the name ""'],
    ['a name in another script', { имя: 1 }, 'facts has the name "имя"'],
    ['a list', { a: [1] }, 'facts.a is [1]; expected text, true, false or a number'],
    ['an object', { a: { b: 1 } }, 'facts.a is {"b":1}; expected text'],
    ['a number with too many digits', { a: 1e300 }, 'facts.a is 1e+300; expected text'],
    ['a long text', { a: 'x'.repeat(65) }, 'expected text of 1 to 64 characters'],
  ])('of %s are left out with a fault', (_, facts, fault) => {
    expect(parseFacts({ facts })).toEqual({ values: {}, fault: expect.stringContaining(fault) });
  });

  test('of a hostile name do not reach the prototype', () => {
    const { report } = parse('{"facts":{"__proto__":{"admin":true},"constructor":"x","site":"rome"}}');
    expect(Object.keys(report.facts ?? {})).toEqual(['constructor', 'site']);
    expect(({} as { admin?: boolean }).admin).toBeUndefined();
  });

  test('beyond the first sixteen are left out with a fault', () => {
    const facts = Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`f${n}`, n]));
    const { values, fault } = parseFacts({ ...KNOWN, facts });
    expect(Object.keys(values)).toHaveLength(16 + Object.keys(KNOWN).length);
    expect(fault).toBe('facts has 500 entries; the first 16 are kept');
  });

  test('keep no control character and no bidirectional override', () => {
    expect(parseFacts({ facts: { a: '\u001b[2Jx\u202ey' } }).values).toEqual({ a: ' [2Jx y' });
  });

  test('that PostgreSQL would store with hundreds of zeros are rounded', () => {
    expect(parseFacts({ facts: { a: 1e-300, b: -0.5 } }).values).toEqual({ a: 0, b: -0.5 });
  });
});

describe('a status', () => {
  test('with a fact that cannot be used keeps its other parts and is not rejected', () => {
    expect(parse('{"firmware_version":"1.4.2","slot_bytes":"big","battery_percent":80}')).toMatchObject({
      rejection: null,
      report: {
        version: '1.4.2',
        facts: { battery_percent: { value: 80, at: RECEIVED } },
        statusFault: expect.stringContaining('slot_bytes is "big"'),
      },
    });
  });

  test('that was cut keeps the facts before the cut', () => {
    const { report } = parse('{"slot_bytes":1310720,"facts":{"site":"rome","no');
    expect(report.facts).toMatchObject({ slot_bytes: { value: 1_310_720 } });
  });

  test('with NUL bytes in a fact is storable', () => {
    const { report } = parse('{"facts":{"site":"ro\\u0000me\\ud800"}}');
    expect(JSON.stringify(report.facts)).not.toMatch(/\\u0000|\\ud800/);
  });

  test('of a last will states nothing', () => {
    expect(parse('{"online":false,"battery_percent":80}').report.facts).toEqual({});
  });
});
