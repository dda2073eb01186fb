import { type Catalog, type CatalogObject, type Column, type Grant, type Relation, shorten } from './catalog.ts';

const HEAD = `<!-- Made by npm run gen:schema from the comments in schema/; do not edit. -->
# Data model

The tables and views of the database, in the order of the domain. \`schema/current.sql\` has the same as statements. Dashboards, and whoever else reads by SQL, should read the views and \`fleet_versions\`: tables change with the code. The last lines of each say what the roles of the functions may do; what no line names, they may not.

A state is stored as \`success\`, and read as _proven_, once the update has ended; \`metadata\` of a device holds what people call its _attributes_.`;

/** docs/data-model.md: a diagram, and for each table and view what it is and a line per column. */
export function renderDataModel({ relations, functions, grants }: Catalog): string {
  const tables = relations.filter(({ kind }) => kind === 'table');
  const views = relations.filter(({ kind }) => kind === 'view');
  const diagram = `\`\`\`mermaid\n${drawTables(tables)}\n\`\`\``;
  const sections = [...tables, ...views].map((each) => renderRelation(each, grants));
  return `${[HEAD, diagram, ...sections, renderFunctions(functions)].join('\n\n')}\n`;
}

/** Tables with their keys, and the foreign keys between them, as a Mermaid diagram. */
function drawTables(tables: readonly Relation[]): string {
  return ['erDiagram', ...tables.map(drawKeys), ...tables.flatMap(drawReferences)].join('\n');
}

const MARKS = { 'primary key': 'PK', 'foreign key': 'FK' } as const;

function drawKeys({ name, columns, constraints }: Relation): string {
  const keys = columns.flatMap((column) => {
    const marks = (['primary key', 'foreign key'] as const)
      .filter((key) => constraints.some((each) => each.kind === key && each.columns.includes(column.name)))
      .map((key) => MARKS[key]);
    return marks.length === 0 ? [] : `    ${shorten(column.type)} ${column.name} ${marks.join(', ')}`;
  });
  return keys.length === 0 ? `  ${name}` : [`  ${name} {`, ...keys, '  }'].join('\n');
}

/** One line per foreign key, each of which has one column. */
function drawReferences({ name, columns, constraints }: Relation): string[] {
  const primaryKey = constraints.find(({ kind }) => kind === 'primary key')?.columns.join();
  return constraints.flatMap(({ columns: [column = ''], target }) => {
    if (target === null) return [];
    const isOptional = columns.some((each) => each.name === column && !each.isRequired);
    return `  ${target} ${isOptional ? '|o' : '||'}--${primaryKey === column ? 'o|' : 'o{'} ${name} : "${column}"`;
  });
}

function renderRelation(relation: Relation, grants: readonly Grant[]): string {
  const { name, kind, comment, columns } = relation;
  const rows =
    kind === 'view'
      ? columns.map((column) => row(code(column.name), shorten(column.type), column.comment))
      : columns.map((column) => row(code(column.name), shorten(column.type), describeValue(column), column.comment));
  const head = kind === 'view' ? ['column', 'type', 'meaning'] : ['column', 'type', 'null, default', 'meaning'];
  return [
    `## ${name}`,
    `${kind === 'view' ? '_View._ ' : ''}${text(comment)}`,
    table(head, rows),
    ...renderConstraints(relation),
    ...renderIndexes(relation),
    ...renderGrants(grants.filter((grant) => grant.relation === name)),
  ].join('\n\n');
}

function describeValue({ isRequired, value }: Column): string {
  const nulls = isRequired ? 'not null' : 'null';
  if (value === null) return nulls;
  if (value.startsWith('DEFAULT ')) return `${nulls}, default ${code(shorten(value.slice('DEFAULT '.length)))}`;
  return `${nulls}, ${value.endsWith('IDENTITY') ? 'identity' : code(shorten(value))}`;
}

/** Keys and rules; what a column refers to is in the diagram too. */
function renderConstraints({ constraints }: Relation): string[] {
  if (constraints.length === 0) return [];
  return [constraints.map(({ definition }) => `- ${code(shorten(definition))}`).join('\n')];
}

/** A line per role that may do anything with the relation. */
function renderGrants(grants: readonly Grant[]): string[] {
  if (grants.length === 0) return [];
  return [grants.map(({ role, privileges }) => `- ${code(role)} may ${code(privileges.join(', '))}`).join('\n')];
}

function renderIndexes({ indexes, triggers }: Relation): string[] {
  const rows = [
    ...indexes.map(({ name, definition, comment }) => row(code(name), code(indexed(definition)), comment)),
    ...triggers.map(({ name, definition, comment }) => row(code(name), code(firesOn(definition)), comment)),
  ];
  return rows.length === 0 ? [] : [table(['index or trigger', 'on', 'read by, or why'], rows)];
}

/** The columns and the condition of an index. */
function indexed(definition: string): string {
  const [, unique = '', columns = ''] = /^CREATE (UNIQUE )?INDEX \S+ ON \S+ (.*)$/.exec(shorten(definition)) ?? [];
  return `${unique.toLowerCase()}${columns}`;
}

const firesOn = (definition: string) => /^CREATE TRIGGER \S+ AFTER (.*?) ON /.exec(definition)?.[1] ?? definition;

function renderFunctions(functions: readonly CatalogObject[]): string {
  const rows = functions.map(({ name, comment }) => row(code(name), comment));
  return `## Functions\n\n${table(['function', 'meaning'], rows)}`;
}

const table = (head: readonly string[], rows: readonly string[]) =>
  [row(...head), row(...head.map(() => '---')), ...rows].join('\n');

const row = (...cells: readonly (string | null)[]) => `| ${cells.map((each) => text(each)).join(' | ')} |`;

const text = (comment: string | null) => (comment ?? '').replaceAll('|', '\\|');

const code = (value: string) => `\`${value}\``;
