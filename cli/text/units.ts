const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** `3 min ago`, `in 2 h`, `just now`; `never` for null. */
export function ago(time: string | null, now: Date): string {
  if (time === null) return 'never';
  const seconds = Math.round((now.getTime() - Date.parse(time)) / 1000);
  if (Math.abs(seconds) < 5) return 'just now';
  return seconds < 0 ? `in ${duration(-seconds)}` : `${duration(seconds)} ago`;
}

/** In the largest unit only: `45 s`, `12 min`, `3 h`, `9 days`. */
export function duration(seconds: number): string {
  if (seconds < MINUTE) return `${Math.round(seconds)} s`;
  if (seconds < HOUR) return `${Math.round(seconds / MINUTE)} min`;
  if (seconds < 2 * DAY) return `${Math.round(seconds / HOUR)} h`;
  return `${Math.round(seconds / DAY)} days`;
}

/** `2026-03-02 12:00:05Z`, a form that is easy to find in a log. */
export const instant = (time: string): string => `${time.slice(0, 10)} ${time.slice(11, 19)}Z`;

/** `2026-03-02 12:00:05Z (3 min ago)`; null for null. */
export const instantAgo = (time: string | null, now: Date): string | null =>
  time === null ? null : `${instant(time)} (${ago(time, now)})`;

/** The text with each ISO instant in the form of {@link instant}. */
export const withInstants = (text: string): string =>
  text.replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g, instant);

export function bytes(count: number): string {
  if (count < 1024) return `${count} bytes`;
  const kib = count / 1024;
  return kib < 1024 ? `${Math.round(kib)} KiB` : `${(kib / 1024).toFixed(1)} MiB`;
}

export const number = (value: number): string => value.toLocaleString('en-US');

/** `1 device`, `4,312 devices`. */
export const count = (value: number, noun: string): string => `${number(value)} ${noun}${value === 1 ? '' : 's'}`;

/** `rolled_back` and `rolledBack` become `rolled back`. */
export const words = (name: string): string =>
  name.replaceAll('_', ' ').replace(/[a-z][A-Z]/g, ([low = '', high = '']) => `${low} ${high.toLowerCase()}`);

/** `user/ada` of an ARN, without the account; a text that is not an ARN stays as it is. */
export const caller = (arn: string): string => arn.replace(/^arn:[^:]*:(?:iam|sts)::\d*:/, '');

const FULL = '█';
const EMPTY = '░';

/** @param share 0 to 1; rounded down, so that only 1 fills the bar */
export function bar(share: number, width = 24): string {
  const filled = Math.min(width, Math.max(0, Math.floor(share * width)));
  return FULL.repeat(filled) + EMPTY.repeat(width - filled);
}

/** Rounded down, so that only all of them are 100 %. */
export const percent = (part: number, whole: number): string =>
  `${whole === 0 ? 100 : Math.floor((part / whole) * 100)} %`;
