import type { TestSql } from '../../test/support/test-sql.ts';

/** A database that counts its statements. */
export interface CountingSql extends TestSql {
  statements: number;
}

export function counting(sql: TestSql): CountingSql {
  const counted: CountingSql = {
    statements: 0,
    query(text, values) {
      counted.statements += 1;
      return sql.query(text, values);
    },
  };
  return counted;
}
