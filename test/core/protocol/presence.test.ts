import { describe, expect, test } from 'vitest';
import { type Contact, presenceOf } from '../../../core/protocol/index.ts';

const NOW = new Date('2026-03-02T12:00:00Z');
const secondsAgo = (seconds: number) => new Date(NOW.getTime() - seconds * 1000);

/** A device whose newest message is a status. */
const heard = (age: number, usual: number | null = 30): Contact => ({
  online: true,
  last_seen: secondsAgo(age),
  report_interval_seconds: usual,
  reachability_received_at: secondsAgo(age),
  reported_at: null,
});

test('a device that was heard within its habit is online', () => {
  expect(presenceOf(heard(40), null, NOW)).toEqual({
    state: 'online',
    since: secondsAgo(40),
    usual_seconds: 30,
    text: 'last heard 40 s ago, usually every 30 s',
  });
});

test('a device without a last will is presumed offline after three usual reports, and at least two minutes', () => {
  expect(presenceOf(heard(7 * 60), null, NOW)).toEqual({
    state: 'presumed_offline',
    since: secondsAgo(5 * 60),
    usual_seconds: 30,
    text: 'last heard 7 min ago, usually every 30 s',
  });
  expect(presenceOf(heard(119), null, NOW).state).toBe('online');
  expect(presenceOf(heard(120), null, NOW).state).toBe('presumed_offline');
});

test.each([
  ['an hourly sleeper gets three hours', 3600, 3 * 3600],
  ['a device that has reported once gets an hour', null, 3600],
  ['a device that reports once a month gets two days', 30 * 86_400, 48 * 3600],
])('%s', (_, usual, patience) => {
  expect(presenceOf(heard(patience - 1, usual), null, NOW).state).toBe('online');
  expect(presenceOf(heard(patience, usual), null, NOW).state).toBe('presumed_offline');
});

test('a last will says offline at once, and when', () => {
  const contact = { ...heard(90), online: false, reachability_received_at: secondsAgo(20) };
  expect(presenceOf(contact, null, NOW)).toMatchObject({
    state: 'said_offline',
    since: secondsAgo(20),
    text: 'its last will came 20 s ago; last heard 90 s ago, usually every 30 s',
  });
});

test('a device that reports about an update is heard, although it sends no status during a download', () => {
  expect(presenceOf({ ...heard(240), reported_at: secondsAgo(2) }, null, NOW)).toEqual({
    state: 'online',
    since: secondsAgo(2),
    usual_seconds: 30,
    text: 'last heard 2 s ago, usually every 30 s',
  });
  expect(presenceOf({ ...heard(400), reported_at: secondsAgo(300) }, null, NOW).state).toBe('presumed_offline');
  expect(presenceOf({ ...heard(20), reported_at: secondsAgo(300) }, null, NOW).since).toEqual(secondsAgo(20));
});

test('a device that is known by a report about an update only was never heard', () => {
  const contact = { ...heard(0), online: false, last_seen: null, reachability_received_at: null };
  expect(presenceOf(contact, null, NOW)).toMatchObject({ state: 'never_heard', text: 'no status was received' });
});

describe('while repeated statuses are not recorded', () => {
  const pause = { from: secondsAgo(2400), to: secondsAgo(-1200) };

  test('a device that was online when that began stays online, and the text says why', () => {
    expect(presenceOf(heard(2430), pause, NOW)).toMatchObject({
      state: 'online',
      text: 'last heard 41 min ago, usually every 30 s; in idle mode statuses without news are not recorded',
    });
  });

  test('a device that was silent before stays presumed offline', () => {
    expect(presenceOf(heard(2400 + 300), pause, NOW).state).toBe('presumed_offline');
  });

  test('a device gets the rest of its patience when statuses are recorded again', () => {
    const until = (seconds: number) => ({ from: secondsAgo(2400), to: secondsAgo(seconds) });
    expect(presenceOf(heard(2430), until(80), NOW).state).toBe('online');
    expect(presenceOf(heard(2430), until(90), NOW).state).toBe('presumed_offline');
  });

  test('a device that was heard afterwards is measured by its own silence', () => {
    expect(presenceOf(heard(125), { from: secondsAgo(2400), to: secondsAgo(130) }, NOW).state).toBe('presumed_offline');
  });
});
