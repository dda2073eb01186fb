import type { ReactNode } from 'react';

export interface Column<Row> {
  readonly name: string;
  /** Numbers stand at the right; what is wide may break over lines. */
  readonly kind?: 'number' | 'wide';
  readonly cell: (row: Row) => ReactNode;
}

interface ListTableProps<Row> {
  readonly label: string;
  /** The first names the row. */
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly keyOf: (row: Row) => string | number;
}

/**
 * Rows as a table; on a phone each is a card, where every value has the name of its column. A table wider than its place
 * moves inside its frame, which can be reached by keyboard.
 */
export function ListTable<Row>({ label, columns, rows, keyOf }: ListTableProps<Row>) {
  const [title, ...others] = columns;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable without a mouse
    <section className="table-frame" aria-label={label} tabIndex={0}>
      <table className="list">
        <thead>
          <tr>
            {columns.map(({ name, kind }) => (
              <th key={name} className={kind}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)}>
              <th scope="row">{title?.cell(row)}</th>
              {others.map(({ name, kind, cell }) => (
                <td key={name} className={kind} data-column={name}>
                  {cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
