import * as z from 'zod';

/** In the order of `Date.getUTCDay`. */
export const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;

const timeOfDay = z
  .string()
  .regex(/^(([01]\d|2[0-3]):[0-5]\d|24:00)$/, 'expected a time of day such as "22:00", at most "24:00"');

const timeZone = z.string().refine(isTimeZone, {
  error: ({ input }) => `"${input}" is not a time zone; expected an IANA name such as "Europe/Rome"`,
});

/** When a rollout may send: on these weekdays, between two wall-clock times of the time zone. */
export const sendWindow = z
  .strictObject({
    days: z
      .array(z.enum(DAYS))
      .min(1)
      .default([...DAYS]),
    from: timeOfDay,
    to: timeOfDay,
    time_zone: timeZone.default('UTC'),
  })
  .refine(({ from, to }) => from !== to, '"from" and "to" are the same; for whole days give "00:00" and "24:00"');

export type SendWindow = z.infer<typeof sendWindow>;

interface Opening {
  readonly from: Date;
  readonly to: Date;
}

/** The end of the current opening; null if the window is closed at `now`. */
export function openUntil(window: SendWindow, now: Date): Date | null {
  return openings(window, now).find(({ from, to }) => from <= now && now < to)?.to ?? null;
}

/** When the window opens next; `now` if it is open. */
export function nextOpening(window: SendWindow, now: Date): Date {
  const next = openings(window, now).find(({ to }) => now < to);
  if (next === undefined) throw new Error(`no opening within a week of ${now.toISOString()}`);
  return next.from <= now ? now : next.from;
}

/**
 * The openings from yesterday through the coming week. An opening that crosses midnight belongs to the day on which it
 * starts.
 */
function openings({ days, from, to, time_zone: zone }: SendWindow, now: Date): Opening[] {
  const today = wallClock(now, zone);
  const crossesMidnight = minutesOf(to) <= minutesOf(from);
  return Array.from({ length: 10 }, (_, i) => i - 1)
    .filter((day) => days.includes(DAYS[(new Date(today).getUTCDay() + day + 7) % 7] as (typeof DAYS)[number]))
    .map((day) => {
      const midnight = Math.floor(today / DAY_MS) * DAY_MS + day * DAY_MS;
      const end = midnight + (crossesMidnight ? DAY_MS : 0) + minutesOf(to) * MINUTE_MS;
      return {
        from: instantOf(midnight + minutesOf(from) * MINUTE_MS, zone, 'first'),
        to: instantOf(end, zone, 'last'),
      };
    });
}

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

const minutesOf = (time: string) => Number(time.slice(0, 2)) * 60 + Number(time.slice(3));

/**
 * The instant at which the clocks of a zone show `wall` (milliseconds, as if it were UTC). A time that occurs twice, in
 * autumn, is its first or last occurrence. A time that is skipped, in spring, is the instant of the jump.
 */
function instantOf(wall: number, zone: string, occurrence: 'first' | 'last'): Date {
  const [before, after] = [wall - DAY_MS, wall + DAY_MS].map((around) => offsetAt(new Date(around), zone)) as [
    number,
    number,
  ];
  const candidates = [wall - before, wall - after].filter((instant) => wallClock(new Date(instant), zone) === wall);
  if (candidates.length > 0)
    return new Date(occurrence === 'first' ? Math.min(...candidates) : Math.max(...candidates));
  return jumpBetween(wall - after, wall - before, zone);
}

function jumpBetween(low: number, high: number, zone: string): Date {
  const before = offsetAt(new Date(low), zone);
  let [from, to] = [low, high];
  while (to - from > MINUTE_MS) {
    const middle = from + Math.floor((to - from) / 2 / MINUTE_MS) * MINUTE_MS;
    if (offsetAt(new Date(middle), zone) === before) from = middle;
    else to = middle;
  }
  return new Date(to);
}

const offsetAt = (instant: Date, zone: string) =>
  wallClock(instant, zone) - Math.floor(instant.getTime() / 1000) * 1000;

/** What the clocks of a zone show, in milliseconds as if it were UTC; whole seconds. */
function wallClock(instant: Date, zone: string): number {
  const parts = formatterOf(zone).formatToParts(instant);
  const [year, month, day, hour, minute, second] = (['year', 'month', 'day', 'hour', 'minute', 'second'] as const).map(
    (type) => Number(parts.find((part) => part.type === type)?.value),
  ) as [number, number, number, number, number, number];
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

const formatters = new Map<string, Intl.DateTimeFormat>();

function formatterOf(zone: string): Intl.DateTimeFormat {
  const known = formatters.get(zone);
  if (known !== undefined) return known;
  const formatter = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  formatters.set(zone, formatter);
  return formatter;
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
