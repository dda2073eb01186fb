import { cpus, loadavg, totalmem } from 'node:os';
import type { TestSql } from '../../test/support/test-sql.ts';

/** Machine and time of a measurement. */
export interface Machine {
  readonly at: string;
  readonly processor: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly node: string;
  /** Load of the last minute before the benchmark. Above about 1, other work used the machine. */
  readonly loadBefore: number;
}

export function describeMachine(): Machine {
  const [first] = cpus();
  return {
    at: new Date().toISOString(),
    processor: (first?.model ?? 'unknown').trim(),
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    loadBefore: Number((loadavg()[0] ?? 0).toFixed(2)),
  };
}

/** Describes the server, such as `PostgreSQL 15.18, shared_buffers 1GB, fsync off`. */
export async function describePostgres(sql: Pick<TestSql, 'query'>): Promise<string> {
  const [row] = await sql.query<{ text: string }>(
    `SELECT 'PostgreSQL ' || split_part(current_setting('server_version'), ' ', 1) || ', shared_buffers '
       || current_setting('shared_buffers') || ', fsync ' || current_setting('fsync') AS text`,
  );
  return row?.text ?? '';
}
