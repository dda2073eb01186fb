import fc from 'fast-check';

/**
 * Text that breaks strings, statements, headers, paths and patterns that it is inserted into, and text that cannot be
 * stored.
 */
const INJECTIONS = [
  `' OR 1=1 --`,
  `'; DROP TABLE devices; --`,
  '" OR ""="',
  ':device',
  '$1',
  '%',
  '\\',
  '\0',
  '\uD800',
  '\u202Eevil',
  '\r\nX-Header: 1',
  '../../etc/passwd',
  '%2e%2e%2f',
  '__proto__',
  'constructor',
  '<script>',
  '1e999',
  'NaN',
  '-1',
  '9223372036854775808',
  '2026-02-30T25:61:61Z',
  'x'.repeat(70),
  'é'.repeat(9_000),
  // Two strings, so that a cut at any length splits a surrogate pair of one of them.
  '😀'.repeat(300),
  `x${'😀'.repeat(300)}`,
];

export const hostileText = fc.oneof(
  fc.constantFrom(...INJECTIONS),
  fc.tuple(fc.constantFrom(...INJECTIONS), fc.string({ maxLength: 20 })).map((parts) => parts.join('')),
  fc.string({ unit: 'binary', maxLength: 80 }),
  // Strings of fast-check are well-formed; strings of JSON can be malformed.
  fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 10 }).map((units) => String.fromCharCode(...units)),
);

export const hostileNumber = fc.oneof(
  fc.constantFrom(0, -0, -1, 1.5, 1e21, 2 ** 31, 2 ** 53, -(2 ** 63), Number.MAX_VALUE, 5e-324, Number.NaN),
  fc.integer(),
  fc.double(),
);

/** An object with these keys or others. `__proto__` is an ordinary key, as JSON.parse creates it. */
export function hostileObject(names: readonly string[], value: fc.Arbitrary<unknown>): fc.Arbitrary<object> {
  const key = fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...names) }, { weight: 1, arbitrary: hostileText });
  return fc
    .array(fc.tuple(key, value), { maxLength: 8 })
    .map((entries) =>
      JSON.parse(`{${entries.map(([name, item]) => `${JSON.stringify(name)}:${jsonOf(item)}`).join()}}`),
    );
}

const jsonOf = (value: unknown) => JSON.stringify(value) ?? 'null';

export const hostileValue: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 4, arbitrary: hostileText },
  { weight: 2, arbitrary: hostileNumber },
  { weight: 1, arbitrary: fc.constantFrom(null, true, false, [], {}) },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 4 }) },
  { weight: 1, arbitrary: fc.array(hostileText, { maxLength: 5 }) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 300 }).map(nested) },
);

/** Nested lists of that depth. */
function nested(depth: number): unknown {
  let value: unknown = 'x';
  for (let level = 0; level < depth; level++) value = [value];
  return value;
}
