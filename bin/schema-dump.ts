import { type Catalog, type Column, type Grant, type PrivateFunction, type Relation, shorten } from './catalog.ts';

const HEAD = `-- The schema that all migrations together make, as the catalog of a migrated database has it.
-- Made by npm run gen:schema; do not edit. The comments are in docs/data-model.md.`;

/** schema/current.sql: statements that make the schema of the catalog in an empty database that has its roles. */
export function renderSchema({ relations, functions, privateFunctions, grants, settings }: Catalog): string {
  const tables = relations.filter(({ kind }) => kind === 'table');
  const views = relations.filter(({ kind }) => kind === 'view');
  return `${[
    HEAD,
    ...tables.map(renderTable),
    ...functions.map(({ definition }) => renderFunction(definition)),
    ...tables.flatMap(({ triggers }) => triggers.map(({ definition }) => `${shorten(definition)};`)),
    ...views.map(({ name, definition }) => `CREATE VIEW ${name} AS\n${shorten(definition)}`),
    grants.map(renderGrant).join('\n'),
    privateFunctions.flatMap(renderCallers).join('\n'),
    ...settings.map(renderSetting),
  ].join('\n\n')}\n`;
}

function renderTable({ name, columns, constraints, options, indexes }: Relation): string {
  const width = (of: (column: Column) => string) => Math.max(...columns.map((column) => of(column).length));
  const nameWidth = width((column) => column.name);
  const typeWidth = width(({ type }) => shorten(type));
  const lines = [
    ...columns.map(({ name: column, type, isRequired, value }) => {
      const parts = [column.padEnd(nameWidth), shorten(type).padEnd(typeWidth), value && shorten(value)];
      return [...parts, isRequired && 'NOT NULL'].filter(Boolean).join(' ').trimEnd();
    }),
    ...constraints.map((constraint) => `CONSTRAINT ${constraint.name} ${shorten(constraint.definition)}`),
  ];
  const storage = options.length === 0 ? '' : ` WITH (${options.join(', ')})`;
  const table = `CREATE TABLE ${name} (\n  ${lines.join(',\n  ')}\n)${storage};`;
  return [table, ...indexes.map(({ definition }) => `${shorten(definition)};`)].join('\n');
}

/** A body between plain dollar signs, which the runner of migrations can tell from a statement. */
const renderFunction = (definition: string) =>
  `${shorten(definition).trim().replaceAll('$function$', '$$$$').replace('CREATE OR REPLACE', 'CREATE')};`;

const renderGrant = ({ relation, role, privileges }: Grant) =>
  `GRANT ${privileges.join(', ')} ON ${relation} TO ${role};`;

const renderCallers = ({ name, callers }: PrivateFunction) => [
  `REVOKE EXECUTE ON FUNCTION ${name} FROM PUBLIC;`,
  ...callers.map((role) => `GRANT EXECUTE ON FUNCTION ${name} TO ${role};`),
];

const renderSetting = (statement: string) =>
  `DO $$\nBEGIN\n  EXECUTE format('${statement}', current_database());\nEND\n$$;`;
