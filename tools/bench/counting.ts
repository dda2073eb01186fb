import type { Sql } from '../../core/db/index.ts';

/** A database that counts its statements. */
export interface CountingSql extends Sql {
  statements: number;
}

export function counting(sql: Sql): CountingSql {
  const counted: CountingSql = {
    statements: 0,
    query(text, values) {
      counted.statements += 1;
      return sql.query(text, values);
    },
  };
  return counted;
}
