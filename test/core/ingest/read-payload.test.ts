import { describe, expect, test } from 'vitest';
import { readPayload } from '../../../core/ingest/read-payload.ts';

const read = (payload: string | Uint8Array) => readPayload(Buffer.from(payload as string));
const status = '{"firmware_version":"1.4.2","wifi":{"mac":"A0:B7:65:20:E9:55","rssi":-61},"uptime_s":86412}';
const fields = JSON.parse(status) as object;

describe('a payload that is read whole', () => {
  test.each<[string, string | Uint8Array, object]>([
    ['plain JSON', status, fields],
    ['a byte order mark', `\uFEFF${status}`, fields],
    ['one trailing NUL', `${status}\0`, fields],
    ['a buffer filled with NUL', `${status}${'\0'.repeat(200)}`, fields],
    ['leading NUL and spaces', `\0 \t${status}`, fields],
    ['trailing line feeds', `${status}\r\n\r\n`, fields],
    ['UTF-16, little endian, with byte order mark', Buffer.from(`${status}`, 'utf16le'), fields],
    ['an empty object', '{}', {}],
    ['a point without decimals', '{"a":71582784.,"b":1}', { a: 71582784, b: 1 }],
    ['numbers with a sign, leading point or zeros', '{"a":+5,"b":.5,"c":-.5,"d":007}', { a: 5, b: 0.5, c: -0.5, d: 7 }],
    [
      'literals of other languages',
      '{"a":True,"b":FALSE,"c":None,"d":undefined}',
      { a: true, b: false, c: null, d: null },
    ],
    ['single quotes', `{'firmware_version':'1.4.2'}`, { firmware_version: '1.4.2' }],
    ['names without quotes', '{firmware_version:"1.4.2",uptime_s:5}', { firmware_version: '1.4.2', uptime_s: 5 }],
    ['a comma too many', '{"a":1,,"b":[1,2,],}', { a: 1, b: [1, 2] }],
    ['missing commas', '{"a":1 "b":"x" "c":{"d":2}\n"e":true}', { a: 1, b: 'x', c: { d: 2 }, e: true }],
    ['equals signs', '{"a"=1,"b"="x"}', { a: 1, b: 'x' }],
    ['line feeds in text', '{"a":"x\ny","b":1}', { a: 'x\ny', b: 1 }],
    ['unknown escapes', String.raw`{"a":"C:\Program\x","b":"\"\u00e9\n"}`, { a: 'C:Programx', b: '"é\n' }],
    ['a version that is a number', '{"firmware_version":1.10,"b":1}', { firmware_version: '1.10', b: 1 }],
    ['a NUL within text', '{"firmware_version":"1.4.2\0\0","b":1}', { firmware_version: '1.4.2', b: 1 }],
    ['the word offline', 'offline', { online: false }],
    ['the word online in quotes', '"Online"', { online: true }],
    ['the same name twice: the last counts', '{"a":1,"a":2.}', { a: 2 }],
    ['comments', '{/* a, "b": */"v":"1"/**/, // the rest: {\n"w":[1,/*2*/3]}', { v: '1', w: [1, 3] }],
    ['slashes in a text', '{"v":"http://x/*y*/","w":1.}', { v: 'http://x/*y*/', w: 1 }],
    ['characters outside ASCII', '{"a":"Küche 😀","b":1.}', { a: 'Küche 😀', b: 1 }],
  ])('%s', (_, payload, expected) => {
    expect(read(payload)).toEqual({ payload: expected, fault: null, isReadable: true });
  });
});

describe('a payload whose other fields are read', () => {
  test.each<[string, string, object, string]>([
    ['nan', '{"t":nan,"v":"1"}', { t: null, v: '1' }, 'character 6: field "t" is nan'],
    ['NaN', '{"t":NaN,"v":"1"}', { t: null, v: '1' }, 'character 6: field "t" is NaN'],
    ['-nan(ind)', '{"t":-nan(ind),"v":"1"}', { t: null, v: '1' }, 'character 6: field "t" is -nan(ind)'],
    ['inf', '{"t":inf,"v":"1"}', { t: null, v: '1' }, 'character 6: field "t" is inf'],
    ['-Infinity', '{"t":-Infinity,"v":"1"}', { t: null, v: '1' }, 'character 6: field "t" is -Infinity'],
    ['1.#QNAN', '{"t":1.#QNAN,"v":"1"}', { t: null, v: '1' }, 'character 6: field "t" is 1.#QNAN'],
    ['ovf of Arduino', '{"t":ovf,"v":"1"}', { t: null, v: '1' }, 'character 6: field "t" is ovf'],
    [
      'nan in a nested object',
      '{"w":{"r":nan,"m":"x"},"v":"1"}',
      { w: { r: null, m: 'x' }, v: '1' },
      'character 11: field "r" is nan',
    ],
    ['nan in a list', '{"w":[1,nan,3],"v":"1"}', { w: [1, null, 3], v: '1' }, 'character 9: field "w" is nan'],
    [
      'several of them',
      '{"t":nan,"u":inf,"v":"1"}',
      { t: null, u: null, v: '1' },
      'character 6: field "t" is nan (and 1 more fault)',
    ],
    ['no value', '{"t":,"v":"1"}', { v: '1' }, 'character 6: field "t" has no value'],
    ['no value at the end', '{"v":"1","t":}', { v: '1' }, 'character 14: field "t" has no value'],
    [
      'a word without quotes',
      '{"state":idle,"v":"1"}',
      { state: 'idle', v: '1' },
      'character 10: field "state" is text without quotes: "idle,\\"v\\":\\"1\\"}"',
    ],
    [
      'a version without quotes',
      '{"firmware_version":1.4.2,"v":"1"}',
      { firmware_version: '1.4.2', v: '1' },
      'is text without quotes',
    ],
    ['several words without quotes', '{"state":not yet,"v":"1"}', { v: '1' }, 'is text without quotes'],
    ['a version followed by more', '{"firmware_version":1.4 beta,"v":"1"}', { v: '1' }, 'is text without quotes'],
    [
      'a quote within text',
      '{"m":"say "hi"","v":"1"}',
      { v: '1' },
      'field "m" is followed by text that does not belong to it',
    ],
    ['quoted text within text', '{"m":"a "b, c" d","v":"1"}', { v: '1' }, 'field "m" is followed by text'],
    ['a missing closing quote', '{"ssid":"foo,"v":"1","w":2}', { v: '1', w: 2 }, 'field "ssid" is followed by text'],
    ['a decimal comma', '{"t":21,5,"v":"1"}', { t: 21, v: '1' }, 'character 9: expected a field'],
    ['a missing colon', '{"t" 5,"v":"1"}', { v: '1' }, 'character 2: expected a field'],
    ['a brace too many', '{"t":{"u":1}},"v":"1"}', { t: { u: 1 }, v: '1' }, 'character 14: text after the object'],
    ['a bracket too many', '{"t":1],"v":"1"}', { t: 1, v: '1' }, 'character 7: expected a field'],
    ['a list without an end', '{"t":[1,2,"v":"1"}', { t: [1, 2], v: '1' }, 'field "t" is a list without an end'],
    ['a name without its closing quote', '{"t:1,"v":"1"}', { v: '1' }, 'character 2: expected a field'],
    ['semicolons', '{"t":1;"s":idle;"v":"1"}', { t: 1, s: 'idle', v: '1' }, 'is text without quotes'],
    ['an object in a list', '[{"v":"1"}]', { v: '1' }, 'the object is wrapped in a list'],
    ['several objects in a list', '[{"v":"1","w":1},{"v":"2"}]', { v: '2', w: 1 }, 'the object is wrapped in a list'],
    [
      'numbers as versions in a list',
      '[{"firmware_version":1.10},{"t":1}]',
      { firmware_version: '1.10', t: 1 },
      'in a list',
    ],
    ['escaped quotes', '{\\"firmware_version\\":\\"1.4.2\\"}', { firmware_version: '1.4.2' }, 'its quotes are escaped'],
    ['a number as version in a list', '[{"firmware_version":1.10}]', { firmware_version: '1.10' }, 'in a list'],
    ['an object as text', '"{\\"v\\":\\"1\\"}"', { v: '1' }, 'the object is wrapped in a text'],
    ['damaged JSON as text', '"{\\"t\\":nan,\\"v\\":\\"1\\"}"', { t: null, v: '1' }, 'field "t" is nan'],
    [
      'text before the object',
      'I (1234) status: {"v":"1"}',
      { v: '1' },
      'character 1: text before the object: "I (1234) status: {\\"v\\":',
    ],
    ['text after the object', '{"v":"1"} garbage', { v: '1' }, 'character 11: text after the object: "garbage"'],
    ['an older message in the rest of the buffer', '{"v":"1"}\0old":"0.9"}', { v: '1' }, 'text after the object'],
    ['two objects', '{"v":"1"}{"v":"2"}', { v: '1' }, 'text after the object'],
    ['a brace too many at the beginning', '{{"v":"1","w":2}', { v: '1', w: 2 }, 'character 2: expected a field'],
    ['a comment without an end', '{"v":"1","w":2,/* and so', { v: '1', w: 2 }, 'expected a field'],
    [
      'a brace too many before fields',
      '{"v":"1"}.5,"v":"2","w":3}',
      { v: '1', w: 3 },
      'character 10: text after the object',
    ],
    ['an apostrophe alone', `{"t":'x,"v":"1"}`, { v: '1' }, 'character 6: field "t" is text without an end'],
    ['an apostrophe before a name', `{'"t":1,"v":"1"}`, { t: 1, v: '1' }, 'character 2: expected a field'],
    ['no opening brace', '"v":"1","w":2}', { v: '1', w: 2 }, ''],
  ])('%s', (_, payload, expected, fault) => {
    const reading = read(payload);
    expect(reading.payload).toEqual(expected);
    if (fault !== '') expect(reading.fault).toContain(fault);
  });

  test('nesting that is too deep is left out', () => {
    const deep = `${'['.repeat(60_000)}${']'.repeat(60_000)}`;
    for (const payload of [`{"a":${deep},"v":"1"}`, `{"a":${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)},"v":"1."}`])
      expect(read(payload)).toMatchObject({ payload: { v: expect.anything() }, isReadable: true });
    expect(read(`{"v":"1","a":${'['.repeat(100_000)}`)).toMatchObject({ payload: { v: '1' }, isReadable: true });
  });

  test('one damaged character outside of the version loses it only by an object without an end, and never changes it', () => {
    const version = '"firmware_version":"1.4.2"';
    const [before, after] = [
      '{"a":"","b":true,"c":21.5,"d":"x y","e":[1,2],',
      ',"mac":"A0:B7:65:20:E9:55","uptime_s":86412}',
    ];
    const damaged: string[] = [];
    for (const [part, rest] of [
      [before, (text: string) => text + version + after],
      // A value that is followed by text which does not belong to it does not count.
      [after.slice(2), (text: string) => `${before}${version}, ${text}`],
    ] as const)
      for (let at = 0; at < part.length; at++)
        for (const char of ['', ...'}[]",:;\'\\ \0x0-/=\n'])
          for (const kept of [part.slice(at), part.slice(at + 1)]) damaged.push(rest(part.slice(0, at) + char + kept));
    damaged.push(before + version + after.slice(1));
    for (const text of damaged) expect(read(text).payload.firmware_version, text).toBe('1.4.2');
    for (let at = 1; at < before.length; at++) {
      const { payload } = read(`${before.slice(0, at)}{${before.slice(at)}${version}${after}`);
      expect(['1.4.2', undefined]).toContain(payload.firmware_version);
    }
  });

  test('every cut of a status keeps the complete fields in front of it, and never a part of one', () => {
    for (let length = 1; length < status.length; length++) {
      const { payload, fault } = read(status.slice(0, length));
      expect(fault, `${length} characters`).toMatch(/the payload ends within/);
      const { firmware_version: version, wifi, uptime_s: uptime } = payload as Record<string, object>;
      expect([undefined, '1.4.2']).toContain(version);
      if (length > status.indexOf(',')) expect(version).toBe('1.4.2');
      for (const [name, value] of Object.entries(wifi ?? {}))
        expect({ mac: 'A0:B7:65:20:E9:55', rssi: -61 }).toMatchObject({ [name]: value });
      expect(uptime).toBeUndefined();
    }
  });
});

describe('a payload that cannot be read says where it fails', () => {
  test.each<[string, string | Uint8Array, string]>([
    ['empty', '', 'the payload is empty'],
    ['only NUL', '\0\0\0', 'character 1: expected a JSON object: ""'],
    ['words', 'hello world', 'character 1: expected a JSON object: "hello world"'],
    ['a list of values', '["1.4.2",7]', 'expected a JSON object: ["1.4.2",7]'],
    ['a list of more than objects', '[{"v":"1"},7]', 'expected a JSON object: [{"v":"1"},7]'],
    ['a text', '"1.4.2"', 'expected a JSON object: "1.4.2"'],
    ['a number', '42', 'expected a JSON object: 42'],
    ['null', 'null', 'expected a JSON object: null'],
    ['only a brace', '{', 'character 2: the payload ends within an object'],
    ['a cut name', '{"firmw', 'character 8: the payload ends within the name of a field'],
    ['a cut version', '{"firmware_version":"1.4', 'character 25: the payload ends within field "firmware_version"'],
    ['gzip', Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0), 'expected a JSON object'],
    ['MessagePack', Uint8Array.of(0x81, 0xa1, 0x76, 0xa1, 0x31), 'expected a JSON object'],
    ['braces only', '{{{{', 'expected a field'],
    ['punctuation', '{:,:,:}', 'expected a field'],
  ])('%s', (_, payload, fault) => {
    const reading = read(payload);
    expect(reading).toMatchObject({ payload: {}, isReadable: false });
    expect(reading.fault).toContain(fault);
  });
});

describe('hostile payloads', () => {
  test('__proto__ is an ordinary field', () => {
    const { payload } = read('{"__proto__":{"v":"2"},"a":nan}');
    expect(Object.keys(payload)).toEqual(['__proto__', 'a']);
    expect((payload as { v?: string }).v).toBeUndefined();
  });

  test.each([
    ['quotes', '{"a":"'.padEnd(131_072, '"')],
    ['commas and quotes', `{${'"a":"x,'.repeat(18_000)}`],
    ['closing braces', `{${'},'.repeat(65_000)}`],
    ['backslashes', `{"a":"${'\\'.repeat(131_000)}`],
    ['backslashes before a quote', `{${'\\'.repeat(131_000)}"a":1`],
    ['escaped quotes', `{${'\\"'.repeat(65_000)}`],
    ['apostrophes', `{${"'a,".repeat(43_000)}`],
    ['braces too many before names', `{}${'"a":{},'.repeat(16_000)}`],
    ['closing braces and names', `{}${'"a":1}'.repeat(18_000)}`],
    ['colons', `{${':'.repeat(131_000)}`],
    ['names without closing quotes', `{${'"a:1,'.repeat(26_000)}`],
    ['text within text', `"${'\\"'.repeat(65_000)}"`],
    ['names without values', `{${'"a" '.repeat(32_000)}`],
    ['nested lists', `{"a":nan,"b":${'[['.repeat(30_000)}${'"x'.repeat(20_000)}`],
    ['comments without an end', `{${'/*a,'.repeat(32_000)}`],
    ['comments', `{${'/**/'.repeat(32_000)}`],
    ['opening braces', `{${'{'.repeat(131_000)}`],
    ['text in front', `${'}'.repeat(131_000)}{"v":1}`],
  ])('128 KiB of %s are read in proportion to their length', (_, payload) => {
    const started = performance.now();
    const { fault } = read(payload);
    expect(performance.now() - started).toBeLessThan(2_000);
    expect(fault?.length).toBeLessThan(300);
  });
});
