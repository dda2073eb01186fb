import { SqlError } from './errors.ts';

/**
 * Maximum bytes of JSON per statement. A Data API request may hold 4 MiB and a response 1 MiB; most rows come back
 * smaller than they were sent.
 */
const MAX_BATCH_BYTES = 1024 * 1024;
/** Maximum rows per statement; keeps the result of a statement under the Data API's limit of 1 MiB. */
export const MAX_BATCH_ROWS = 500;

/** Splits rows into batches that fit into one statement each. */
export function inBatches<T>(rows: readonly T[], maxRows = MAX_BATCH_ROWS, maxBytes = MAX_BATCH_BYTES): T[][] {
  const batches: T[][] = [];
  let batch: T[] = [];
  let bytes = 0;
  for (const row of rows) {
    const size = Buffer.byteLength(JSON.stringify(row));
    if (batch.length > 0 && (batch.length >= maxRows || bytes + size > maxBytes)) {
      batches.push(batch);
      batch = [];
      bytes = 0;
    }
    batch.push(row);
    bytes += size;
  }
  if (batch.length > 0) batches.push(batch);
  return batches;
}

export interface WriteOutcome<Row, Result> {
  readonly results: Result[];
  /** Rows that the database refused, each with its error. */
  readonly refused: { readonly row: Row; readonly error: SqlError }[];
}

/**
 * Writes rows in one batch. If the database refuses the batch because of its data (SQLSTATE class 22 or 23), splits it
 * in half repeatedly until each bad row is isolated, so that a bad row does not block the others. Other errors are
 * thrown.
 */
export async function writeIsolatingBadRows<Row, Result>(
  rows: readonly Row[],
  write: (rows: readonly Row[]) => Promise<Result[]>,
): Promise<WriteOutcome<Row, Result>> {
  const [first] = rows;
  if (first === undefined) return { results: [], refused: [] };
  try {
    return { results: await write(rows), refused: [] };
  } catch (error) {
    if (!(error instanceof SqlError && error.isDataProblem)) throw error;
    if (rows.length === 1) return { results: [], refused: [{ row: first, error }] };
    const middle = Math.ceil(rows.length / 2);
    const left = await writeIsolatingBadRows(rows.slice(0, middle), write);
    const right = await writeIsolatingBadRows(rows.slice(middle), write);
    return { results: [...left.results, ...right.results], refused: [...left.refused, ...right.refused] };
  }
}

/** `Map.groupBy`, which Node 20 does not have. */
export function groupBy<T, K>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
}
