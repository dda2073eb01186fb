import { SqlError } from './errors.ts';

/** JSON bytes in one statement. A Data API request may hold 4 MiB, its answer 1 MiB: rows mostly come back smaller. */
const MAX_BATCH_BYTES = 1024 * 1024;
/** Rows in one statement: what a statement returns must stay under the Data API's 1 MiB. */
export const MAX_BATCH_ROWS = 500;

/** Cuts rows into batches that one statement may carry. */
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
  /** Rows that the database refuses by themselves, each with its error. */
  readonly refused: { readonly row: Row; readonly error: SqlError }[];
}

/**
 * Writes rows together; where the database finds one of them bad (SQLSTATE class 22 or 23), halves the batch until the
 * culprits stand alone, so that one bad message never holds up the others. Other errors pass through.
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

/** `Map.groupBy`, which Node 20 lacks. */
export function groupBy<T, K>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
}
