import type { ReactNode } from 'react';

export interface Column<Row> {
  readonly name: string;
  /** Numbers are aligned to the right; wide cells may wrap. */
  readonly kind?: 'number' | 'wide';
  readonly cell: (row: Row) => ReactNode;
}

interface ListTableProps<Row> {
  readonly label: string;
  /** The first column is the header of its row. */
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly keyOf: (row: Row) => string | number;
}

/**
 * A table; on a phone each row is a card that shows the name of the column beside each value. A table that is too wide
 * scrolls inside its frame, which takes the keyboard focus.
 */
export function ListTable<Row>({ label, columns, rows, keyOf }: ListTableProps<Row>) {
  const [title, ...others] = columns;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling frame must be reachable without a mouse
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
