import { expect, test } from 'vitest';
import { describeConnection, describeRefusals, disconnectedTopics } from '../../../core/protocol/index.ts';

const NOW = new Date('2026-03-02T12:00:00Z');
const secondsAgo = (seconds: number) => new Date(NOW.getTime() - seconds * 1000);

test('refusals are described with their number, their time and the topics of the device', () => {
  const refusals = { times: 3, first_at: secondsAgo(140), last_at: secondsAgo(20) };
  expect(describeRefusals(refusals, 'van-1', 'publish on paku/edge/{deviceId}/*', NOW)).toBe(
    'disconnected by its policy 3 times in 2 min, the last time 20 s ago; its policy allows: publish on paku/edge/van-1/*',
  );
});

test('a single refusal has no duration', () => {
  const refusals = { times: 1, first_at: secondsAgo(20), last_at: secondsAgo(20) };
  expect(describeRefusals(refusals, 'van-1', 'x', NOW)).toContain('by its policy once, the last time 20 s ago;');
});

const connected = (filters: readonly string[] | null) =>
  ({ state: 'connected', since: secondsAgo(420), reason: null, filters }) as const;

test.each([
  [connected(null), 'connected for 7 min'],
  [connected(['paku/edge/van-1/#', 'paku/control']), 'connected for 7 min; listens on paku/edge/van-1/cmd/ota'],
  [
    connected(['paku/devices/van-1/cmd/ota', 'paku/edge/van-1/cmd/ota']),
    'connected for 7 min; listens on paku/devices/van-1/cmd/ota and paku/edge/van-1/cmd/ota',
  ],
  [
    connected(['paku/edge/van-2/cmd/ota', 'paku/control']),
    'connected for 7 min; listens on no command topic, so it would ignore a command',
  ],
  [
    { state: 'disconnected', since: secondsAgo(420), reason: 'CONNECTION_LOST' },
    'disconnected 7 min ago (CONNECTION_LOST)',
  ],
  [{ state: 'not_known' }, 'not connected, and not in the last 30 min'],
  [{ state: 'not_asked', error: 'ForbiddenException' }, 'AWS IoT could not be asked (ForbiddenException)'],
] as const)('the answer %j is described as "%s"', (answer, text) => {
  expect(describeConnection(answer, 'paku', 'van-1', NOW)).toBe(text);
});

test.each([
  ['$aws/events/presence/disconnected/van-1', 'van-1'],
  ['$aws/events/presence/disconnected/claim/van-1', undefined],
  ['$aws/events/presence/disconnected/', undefined],
  ['$aws/events/presence/connected/van-1', undefined],
  ['paku/edge/van-1/status', undefined],
])('the client of the event %s is %s', (topic, client) => {
  expect(disconnectedTopics.deviceOf(topic)).toBe(client);
});
