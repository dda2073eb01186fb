import * as z from 'zod';
import { type RowOf, type Sql, select } from '../core/db/index.ts';

/**
 * The schema of a database as pg_catalog has it, in the order in which it was created; last the table of migrations, which
 * has to be there before everything else.
 */
export interface Catalog {
  readonly relations: readonly Relation[];
  readonly functions: readonly CatalogObject[];
  /** By relation, then role. */
  readonly grants: readonly Grant[];
  /** Functions that not everybody may call. */
  readonly privateFunctions: readonly PrivateFunction[];
  /** Statements about the database, with %I for its name, such as `ALTER DATABASE %I SET jit = off`. */
  readonly settings: readonly string[];
}

/** A table or a view. */
export interface Relation extends CatalogObject {
  readonly kind: 'table' | 'view';
  /** Storage parameters, such as `fillfactor=80`. */
  readonly options: readonly string[];
  readonly columns: readonly Column[];
  readonly constraints: readonly Constraint[];
  /** Without those that a constraint has made. */
  readonly indexes: readonly CatalogObject[];
  readonly triggers: readonly CatalogObject[];
}

const catalogObject = z.strictObject({
  name: z.string(),
  /** A whole statement, of a view its query; empty for a table. */
  definition: z.string(),
  comment: z.string().nullable(),
});
export type CatalogObject = RowOf<typeof catalogObject>;

const column = z.strictObject({
  name: z.string(),
  type: z.string(),
  isRequired: z.boolean(),
  /** `DEFAULT …` or `GENERATED …`; null for none. */
  value: z.string().nullable(),
  comment: z.string().nullable(),
});
export type Column = RowOf<typeof column>;

const constraint = z.strictObject({
  name: z.string(),
  kind: z.enum(['primary key', 'unique', 'check', 'foreign key']),
  definition: z.string(),
  columns: z.array(z.string()),
  /** The table that a foreign key refers to. */
  target: z.string().nullable(),
});
export type Constraint = RowOf<typeof constraint>;

const grant = z.strictObject({
  relation: z.string(),
  role: z.string(),
  /** Such as `SELECT`, or `UPDATE (a, b)` for some columns. */
  privileges: z.array(z.string()),
});
export type Grant = RowOf<typeof grant>;

const RELATIONS = `SELECT c.relname::text AS name, CASE c.relkind WHEN 'v' THEN 'view' ELSE 'table' END AS kind,
    coalesce(to_jsonb(c.reloptions), '[]') AS options, obj_description(c.oid, 'pg_class') AS comment,
    CASE c.relkind WHEN 'v' THEN pg_get_viewdef(c.oid, true) ELSE '' END AS definition
  FROM pg_class AS c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v')
  ORDER BY c.relname = 'schema_migrations', c.oid`;

const COLUMNS = `SELECT c.relname::text AS relation, a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type,
    a.attnotnull AS "isRequired", col_description(c.oid, a.attnum) AS comment,
    CASE WHEN a.attidentity = 'a' THEN 'GENERATED ALWAYS AS IDENTITY'
      WHEN a.attgenerated = 's' THEN 'GENERATED ALWAYS AS (' || pg_get_expr(d.adbin, d.adrelid, true) || ') STORED'
      WHEN d.oid IS NOT NULL THEN 'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid, true) END AS value
  FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
  WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v') ORDER BY c.oid, a.attnum`;

/** Since PostgreSQL 18 NOT NULL is a constraint too; here it belongs to the column. */
const CONSTRAINTS = `SELECT r.relname::text AS relation, k.conname::text AS name, pg_get_constraintdef(k.oid, true) AS definition,
    CASE k.contype WHEN 'p' THEN 'primary key' WHEN 'u' THEN 'unique' WHEN 'f' THEN 'foreign key' ELSE 'check' END AS kind,
    (SELECT jsonb_agg(a.attname ORDER BY n) FROM unnest(k.conkey) WITH ORDINALITY AS u(key, n)
     JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = u.key) AS columns,
    t.relname::text AS target
  FROM pg_constraint AS k JOIN pg_class AS r ON r.oid = k.conrelid LEFT JOIN pg_class AS t ON t.oid = k.confrelid
  WHERE k.connamespace = 'public'::regnamespace AND k.contype IN ('p', 'u', 'c', 'f')
  ORDER BY position(k.contype::text IN 'pucf'), k.conname`;

const INDEXES = `SELECT r.relname::text AS relation, c.relname::text AS name, pg_get_indexdef(c.oid, 0, true) AS definition,
    obj_description(c.oid, 'pg_class') AS comment
  FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_class AS r ON r.oid = i.indrelid
  WHERE c.relnamespace = 'public'::regnamespace AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = c.oid)
  ORDER BY c.oid`;

const TRIGGERS = `SELECT r.relname::text AS relation, t.tgname::text AS name, pg_get_triggerdef(t.oid, true) AS definition,
    obj_description(t.oid, 'pg_trigger') AS comment
  FROM pg_trigger AS t JOIN pg_class AS r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal ORDER BY t.oid`;

const FUNCTIONS = `SELECT proname::text AS name, pg_get_functiondef(oid) AS definition, obj_description(oid, 'pg_proc') AS comment
  FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY oid`;

/** Owners need no grant. */
const GRANTS = `SELECT c.relname::text AS relation, r.rolname::text AS role,
    jsonb_agg(g.privilege || coalesce(' (' || g.columns || ')', '') ORDER BY
      position(g.privilege IN 'SELECT INSERT UPDATE DELETE')) AS privileges
  FROM pg_class AS c CROSS JOIN LATERAL (
    SELECT a.grantee, a.privilege_type AS privilege, NULL AS columns FROM aclexplode(c.relacl) AS a
    UNION ALL
    SELECT a.grantee, a.privilege_type, string_agg(t.attname, ', ' ORDER BY t.attnum)
    FROM pg_attribute AS t CROSS JOIN LATERAL aclexplode(t.attacl) AS a
    WHERE t.attrelid = c.oid AND t.attnum > 0 AND NOT t.attisdropped GROUP BY 1, 2
  ) AS g JOIN pg_roles AS r ON r.oid = g.grantee
  WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v') AND g.grantee <> c.relowner
  GROUP BY c.oid, c.relname, r.rolname ORDER BY c.relname = 'schema_migrations', c.oid, r.rolname`;

const privateFunction = z.strictObject({
  /** With the types of its parameters. */
  name: z.string(),
  /** Roles that may call it. */
  callers: z.array(z.string()),
});
export type PrivateFunction = RowOf<typeof privateFunction>;

/** By default everybody may call a function. */
const PRIVATE_FUNCTIONS = `SELECT p.oid::regprocedure::text AS name, (
    SELECT coalesce(jsonb_agg(a.grantee::regrole::text ORDER BY a.grantee::regrole::text), '[]')
    FROM aclexplode(p.proacl) AS a WHERE a.grantee <> p.proowner) AS callers
  FROM pg_proc AS p
  WHERE p.pronamespace = 'public'::regnamespace AND NOT EXISTS (
    SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a WHERE a.grantee = 0)
  ORDER BY p.oid`;

const SETTINGS = `WITH this AS (SELECT oid, datdba, datacl FROM pg_database WHERE datname = current_database())
  SELECT 'ALTER DATABASE %I SET ' || replace(s.setting, '=', ' = ') AS statement
  FROM this JOIN pg_db_role_setting AS d ON d.setdatabase = this.oid AND d.setrole = 0
  CROSS JOIN LATERAL unnest(d.setconfig) AS s(setting)
  UNION ALL
  SELECT 'REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC' FROM this WHERE NOT EXISTS (
    SELECT FROM aclexplode(coalesce(this.datacl, acldefault('d', this.datdba))) AS a
    WHERE a.grantee = 0 AND a.privilege_type = 'TEMPORARY')
  ORDER BY statement`;

type OfRelation<T> = T & { readonly relation: string };

/** Reads the schema `public` of a database. */
export async function readCatalog(sql: Sql): Promise<Catalog> {
  const relations = await select(
    sql,
    z.strictObject({ ...catalogObject.shape, kind: z.enum(['table', 'view']), options: z.array(z.string()) }),
    RELATIONS,
  );
  const columns = await select(sql, z.strictObject({ ...column.shape, relation: z.string() }), COLUMNS);
  const constraints = await select(sql, z.strictObject({ ...constraint.shape, relation: z.string() }), CONSTRAINTS);
  const indexes = await select(sql, z.strictObject({ ...catalogObject.shape, relation: z.string() }), INDEXES);
  const triggers = await select(sql, z.strictObject({ ...catalogObject.shape, relation: z.string() }), TRIGGERS);
  const settings = await select(sql, z.strictObject({ statement: z.string() }), SETTINGS);
  return {
    relations: relations.map((relation) => ({
      ...relation,
      columns: ofRelation(columns, relation.name),
      constraints: ofRelation(constraints, relation.name),
      indexes: ofRelation(indexes, relation.name),
      triggers: ofRelation(triggers, relation.name),
    })),
    functions: await select(sql, catalogObject, FUNCTIONS),
    grants: await select(sql, grant, GRANTS),
    privateFunctions: await select(sql, privateFunction, PRIVATE_FUNCTIONS),
    settings: settings.map(({ statement }) => statement),
  };
}

const ofRelation = <T>(rows: readonly OfRelation<T>[], name: string): T[] =>
  rows.filter(({ relation }) => relation === name).map(({ relation: _, ...row }) => row as T);

/** What has no comment, each with its kind: `column devices.device_id`. */
export function findUncommented({ relations, functions }: Catalog): string[] {
  const uncommented = (kind: string, objects: readonly { name: string; comment: string | null }[], prefix = '') =>
    objects.filter(({ comment }) => !comment).map(({ name }) => `${kind} ${prefix}${name}`);
  return [
    ...relations.flatMap(({ name, kind, comment, columns, indexes, triggers }) => [
      ...uncommented(kind, [{ name, comment }]),
      ...uncommented('column', columns, `${name}.`),
      ...uncommented('index', indexes),
      ...uncommented('trigger', triggers, `${name}.`),
    ]),
    ...uncommented('function', functions),
  ];
}

/** A type or an expression in the words of schema/: PostgreSQL writes out names, casts of texts and the schema. */
export const shorten = (text: string): string =>
  text
    .replaceAll('timestamp with time zone', 'timestamptz')
    .replaceAll(/('(?:[^']|'')*')::(?:text|jsonb)\b/g, '$1')
    .replaceAll('public.', '')
    .replaceAll(' USING btree', '');
