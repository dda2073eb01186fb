const number = new Intl.NumberFormat('en');
const dateAndTime = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });

export const count = (value: number) => number.format(value);

/** `1 device`, `2 devices`. */
export const counted = (value: number, noun: string) => `${count(value)} ${noun}${value === 1 ? '' : 's'}`;

export const dateTime = (iso: string) => dateAndTime.format(new Date(iso));

const UNITS: readonly [number, string][] = [
  [86_400, 'day'],
  [3_600, 'h'],
  [60, 'min'],
  [1, 's'],
];

/** In the largest unit that is not zero: `3 min`, `2 days`. */
export function duration(seconds: number): string {
  const [size, unit] = UNITS.find(([each]) => seconds >= each) ?? [1, 's'];
  const value = Math.floor(seconds / size);
  return unit === 'day' ? counted(value, unit) : `${value} ${unit}`;
}

/** `3 min ago`, `in 3 min`; `just now` within two seconds, because the clocks of browser and service differ. */
export function ago(iso: string, now: number): string {
  const seconds = (now - new Date(iso).getTime()) / 1000;
  if (Math.abs(seconds) < 2) return 'just now';
  return seconds > 0 ? `${duration(seconds)} ago` : `in ${duration(-seconds)}`;
}

export function bytes(value: number): string {
  if (value < 1024) return `${value} B`;
  return value < 1024 * 1024
    ? `${number.format(Math.round(value / 1024))} KiB`
    : `${(value / 1024 / 1024).toFixed(2)} MiB`;
}

/** Rounded, but 0% and 100% only for exactly none and all. */
export function percent(part: number, whole: number): string {
  if (whole === 0) return '–';
  const share = (part / whole) * 100;
  if (share > 0 && share < 1) return '<1%';
  return share < 100 && share > 99 ? '>99%' : `${Math.round(share)}%`;
}

export const hex = (value: number) => `0x${value.toString(16).padStart(8, '0')}`;

/** `rolled_back` as `rolled back`. */
export const words = (name: string) => name.replaceAll('_', ' ').toLowerCase();

/** The name at the end of an ARN; a text that is not an ARN stays as it is. */
export const caller = (arn: string) => arn.slice(arn.lastIndexOf('/') + 1);

/** The text with a capital first letter, unless it begins with a name such as `esp32-s3`. */
export const capital = (text: string) =>
  /^[a-z]*[\d_-]/.test(text) ? text : text.charAt(0).toUpperCase() + text.slice(1);

/** `rejected_uploads` as `Rejected uploads`. */
export const sentence = (name: string) => capital(words(name));

/** Sorts by version, the newest first. */
export const byVersion = (a: string, b: string) => b.localeCompare(a, 'en', { numeric: true });

/** The text with each ISO instant in the reader's time zone. */
export const withLocalTimes = (text: string) =>
  text.replaceAll(/\d{4}-\d\d-\d\dT[\d:]+(?:\.\d+)?Z/g, (time) => dateTime(time));
