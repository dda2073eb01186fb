import { describe, expect, test } from 'vitest';
import { nextOpening, openUntil, type SendWindow, sendWindow } from '../../../core/policy/send-window.ts';

const nights: SendWindow = sendWindow.parse({ from: '22:00', to: '05:00', time_zone: 'Europe/Rome' });
const officeHours: SendWindow = sendWindow.parse({
  days: ['mon', 'tue', 'wed', 'thu', 'fri'],
  from: '09:00',
  to: '17:00',
  time_zone: 'America/New_York',
});
const utc = (text: string) => new Date(`${text}Z`);

describe('a send window', () => {
  test.each([
    ['opens at its first minute', '2026-03-02T14:00', '2026-03-02T22:00'],
    ['closes at its last minute', '2026-03-02T22:00', null],
    ['is closed on other weekdays', '2026-03-07T15:00', null],
  ])('%s', (_, now, end) => {
    expect(openUntil(officeHours, utc(now))).toEqual(end === null ? null : utc(end));
  });

  test.each([
    ['in the evening', '2026-01-10T21:30', '2026-01-11T04:00'],
    ['after midnight', '2026-01-11T03:59', '2026-01-11T04:00'],
    ['not during the day', '2026-01-11T12:00', null],
  ])('that crosses midnight is open %s', (_, now, end) => {
    expect(openUntil(nights, utc(now))).toEqual(end === null ? null : utc(end));
  });

  test('that crosses midnight belongs to the day on which it starts', () => {
    const fridays = { ...nights, days: ['fri' as const] };
    expect(openUntil(fridays, utc('2026-01-10T03:00'))).toEqual(utc('2026-01-10T04:00'));
    expect(openUntil(fridays, utc('2026-01-09T03:00'))).toBeNull();
  });

  test('states when it opens next', () => {
    expect(nextOpening(officeHours, utc('2026-03-06T23:00'))).toEqual(utc('2026-03-09T13:00'));
    expect(nextOpening(officeHours, utc('2026-03-09T14:00'))).toEqual(utc('2026-03-09T14:00'));
  });

  test('of whole days ends at midnight', () => {
    const sundays = sendWindow.parse({ days: ['sun'], from: '00:00', to: '24:00', time_zone: 'Asia/Kolkata' });
    expect(openUntil(sundays, utc('2026-03-01T10:00'))).toEqual(utc('2026-03-01T18:30'));
  });
});

describe('daylight saving time', () => {
  test.each([
    ['a start that is skipped is the instant of the jump', 'Europe/Rome', '02:30', '2026-03-29T01:00'],
    ['a start that occurs twice is the first', 'Europe/Rome', '02:30', '2026-10-25T00:30'],
    ['a jump of half an hour', 'Australia/Lord_Howe', '02:15', '2026-10-03T15:30'],
  ])('%s', (_, zone, from, opening) => {
    const window = sendWindow.parse({ from, to: '06:00', time_zone: zone });
    const before = new Date(utc(opening).getTime() - 60_000);
    expect(nextOpening(window, before)).toEqual(utc(opening));
  });

  test('an end that occurs twice is the last, so that no hour is lost', () => {
    const window = sendWindow.parse({ from: '00:00', to: '02:30', time_zone: 'Europe/Rome' });
    expect(openUntil(window, utc('2026-10-25T01:29'))).toEqual(utc('2026-10-25T01:30'));
  });
});

test('agrees with the wall clock all year, except in the hours that occur twice', () => {
  const clock = new Intl.DateTimeFormat('en-GB', {
    timeZone: 'Europe/Rome',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  for (let at = utc('2026-01-01T00:00').getTime(); at < utc('2027-01-01T00:00').getTime(); at += 397 * 60_000) {
    const now = new Date(at);
    const time = clock.format(now);
    const isOpen = openUntil(nights, now) !== null;
    expect([now, isOpen]).toEqual([now, time >= '22:00' || time < '05:00']);
    expect(nextOpening(nights, now) > now).toBe(!isOpen);
  }
});

test.each([
  [{ from: '9:00', to: '17:00' }, 'expected a time of day'],
  [{ from: '09:00', to: '09:00' }, 'are the same'],
  [{ from: '09:00', to: '17:00', time_zone: 'Rome' }, '"Rome" is not a time zone'],
  [{ from: '09:00', to: '17:00', timezone: 'UTC' }, 'Unrecognized key: "timezone"'],
  [{ from: '09:00', to: '17:00', days: [] }, 'Too small'],
])('rejects %j', (window, message) => {
  expect(sendWindow.safeParse(window).error?.issues[0]?.message).toContain(message);
});
