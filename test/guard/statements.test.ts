// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the samples are source text
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { statementsIn } from '../support/constant-text.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** What is written into statements and is no constant of its module, and why none of it comes from a call. */
const REVIEWED: Readonly<Record<string, string>> = {
  'core/assignment/assign-devices.ts: SCOPES[scope.kind]': 'one of two constants of the module',
  'core/devices/device-queries.ts: CONDITION_NAMES.filter((name) => values[name] !== undefined)':
    'some of the constant conditions of the module, by their names there',
  'core/db/select.ts: statement': 'the text of a select, which is checked where it is called',
  'core/db/migrations.ts: statement': 'a statement of schema/*.sql, which is bundled',
};

const sources = ['core', 'lambdas', 'cli', 'api', 'console', 'fleet'].flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.tsx?$/.test(file))
    .map((file) => `${folder}/${file}`),
);

test('every statement takes values as parameters: what is written into one is the same in every call', () => {
  const statements = sources.flatMap((file) =>
    statementsIn(file, readFileSync(join(ROOT, file), 'utf8')).map((statement) => ({ file, ...statement })),
  );
  expect(statements.length).toBeGreaterThan(90);
  const open = statements.flatMap(({ file, open: parts }) => parts.map((part) => `${file}: ${part}`));
  expect([...new Set(open)].sort()).toEqual(Object.keys(REVIEWED).sort());
});

describe('a statement is found to be open', () => {
  const openIn = (source: string) => statementsIn('sample.ts', source).flatMap(({ open }) => open);
  test.each([
    ['in a template', 'const f = (sql, id) => sql.query(`SELECT ${id}`);', 'id'],
    ['in a sum', "async function f(sql, id) { await sql.query('SELECT ' + id); }", 'id'],
    ['by a property', 'const f = (sql, row) => sql.query(`SELECT ${row.name}`);', 'row.name'],
    ['by a method', "const f = (sql, ids) => sql.query(`SELECT ${ids.join(',')}`);", "ids.join(',')"],
    ['by a local name', 'function f(sql, id) { const text = `SELECT ${id}`; return sql.query(text); }', 'id'],
    ['by an unpacked name', 'const f = (sql, { id }) => sql.query(`SELECT ${id}`);', 'id'],
    [
      'by a caller in the module',
      'function f(sql, text) { return sql.query(text); }\nexport const g = (sql, id) => f(sql, `SELECT ${id}`);',
      'id',
    ],
    ['by a caller elsewhere', 'export function f(sql, text) { return sql.query(text); }', 'text'],
    ['in a condition', "const f = (sql, a, id) => sql.query(a ? 'SELECT 1' : `SELECT ${id}`);", 'id'],
    ['in a select', 'const f = (sql, row, id) => select(sql, row, `SELECT ${id}`);', 'id'],
    ['through a function', 'const quote = (x) => x;\nconst f = (sql, id) => sql.query(`SELECT ${quote(id)}`);', 'id'],
  ])('%s', (_, source, part) => {
    expect(openIn(source)).toEqual([part]);
  });

  test('and is not where only constants are written into it', () => {
    const source = `import { LIMIT } from './limits.ts';
      const COLUMNS = ['a', 'b'].join(', ');
      const of = (alias) => alias + '.id';
      function f(sql, condition) { return sql.query(\`SELECT \${COLUMNS}, \${of('d')} WHERE \${condition} LIMIT \${LIMIT}\`); }
      export const g = (sql) => f(sql, 'a = :a');`;
    expect(openIn(source)).toEqual([]);
  });
});
