/** The parameters of one page. */
export interface PageValues {
  readonly limit: number;
  readonly offset: number;
}

/**
 * All rows of a statement, read in pages, because a response of the Data API holds 1 MiB.
 * @param readPage runs the statement, which ends with ORDER BY a unique key, LIMIT :limit and OFFSET :offset
 * @param rowsPerPage so that a page fits, even with the longest values
 */
export async function readInPages<Row>(
  readPage: (page: PageValues) => Promise<Row[]>,
  rowsPerPage: number,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (;;) {
    const page = await readPage({ limit: rowsPerPage, offset: rows.length });
    rows.push(...page);
    if (page.length < rowsPerPage) return rows;
  }
}
