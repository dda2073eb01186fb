import { stripVTControlCharacters } from 'node:util';
import { dim } from './style.ts';

export interface Column<Row> {
  readonly head: string;
  readonly value: (row: Row) => string | number | null;
  /** For numbers, so that their last digits are aligned. */
  readonly align?: 'right';
}

/** Aligned columns, two spaces apart, without trailing blanks. An empty cell has a dash, except in the last column. */
export function table<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string[] {
  const last = columns.length - 1;
  const cells = rows.map((row) => columns.map(({ value }, i) => cellText(value(row), i === last ? '' : '–')));
  const heads = columns.map(({ head }) => head);
  const widths = heads.map((head, i) => Math.max(width(head), ...cells.map((row) => width(row[i] ?? ''))));
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => pad(cell, widths[i] ?? 0, columns[i]?.align))
      .join('  ')
      .trimEnd();
  return [dim(line(heads)), ...cells.map(line)];
}

/** Names and values in two columns, without those whose value is null or empty. */
export function facts(pairs: readonly (readonly [string, string | number | null])[]): string[] {
  const known = pairs.filter(([, value]) => value !== null && value !== '');
  const longest = Math.max(...known.map(([name]) => width(name)));
  return known.map(([name, value]) => `${dim(pad(name, longest))}  ${value}`);
}

/** Visible characters: colours do not count. */
export const width = (text: string): number => [...stripVTControlCharacters(text)].length;

export function pad(text: string, to: number, align?: 'right'): string {
  const blanks = ' '.repeat(Math.max(0, to - width(text)));
  return align === 'right' ? blanks + text : text + blanks;
}

/** The text cut to `to` characters, with an ellipsis when it was longer. For text without colours. */
export const shorten = (text: string, to: number): string =>
  width(text) <= to ? text : `${[...text].slice(0, Math.max(0, to - 1)).join('')}…`;

const cellText = (value: string | number | null, empty: string) =>
  value === null || value === '' ? empty : typeof value === 'number' ? value.toLocaleString('en-US') : value;
