import { stripVTControlCharacters } from 'node:util';
import { dim } from './style.ts';

export interface Column<Row> {
  readonly head: string;
  readonly value: (row: Row) => string | number | null;
  /** Numbers stand under each other by their last digit. */
  readonly align?: 'right';
}

/** Aligned columns, two spaces apart, without trailing blanks; a dash where nothing is, so that columns can be told. */
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

/** Names and values, the values under each other; those that are null are left out. */
export function facts(pairs: readonly (readonly [string, string | number | null])[]): string[] {
  const known = pairs.filter(([, value]) => value !== null && value !== '');
  const longest = Math.max(...known.map(([name]) => width(name)));
  return known.map(([name, value]) => `${dim(pad(name, longest))}  ${value}`);
}

/** Characters on the screen, colours aside. */
export const width = (text: string): number => [...stripVTControlCharacters(text)].length;

export function pad(text: string, to: number, align?: 'right'): string {
  const blanks = ' '.repeat(Math.max(0, to - width(text)));
  return align === 'right' ? blanks + text : text + blanks;
}

/** What fits into a line, an ellipsis where something is missing. Of text without colours. */
export const shorten = (text: string, to: number): string =>
  width(text) <= to ? text : `${[...text].slice(0, Math.max(0, to - 1)).join('')}…`;

const cellText = (value: string | number | null, nothing: string) =>
  value === null || value === '' ? nothing : typeof value === 'number' ? value.toLocaleString('en-US') : value;
