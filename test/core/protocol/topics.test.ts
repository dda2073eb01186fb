import { expect, test } from 'vitest';
import { subscribedFamily } from '../../../core/protocol/index.ts';

test.each([
  ['firmware up to 1.3', ['paku/devices/van-1/cmd/ota', 'paku/edge/van-1/control'], 'devices'],
  ['firmware from 1.4.1', ['paku/control', 'paku/edge/van-1/cmd/ota', 'paku/devices/van-1/cmd/wifi'], 'edge'],
  ['firmware 1.4.0', ['paku/edge/van-1/cmd/ota', 'paku/devices/van-1/cmd/ota'], 'both'],
  ['a filter with #', ['paku/edge/van-1/#'], 'edge'],
  ['a filter with +', ['paku/devices/+/cmd/ota'], 'devices'],
  ['a filter of another level', ['paku/edge/van-1', 'paku/edge/+', 'paku/edge/van-1/cmd/ota/x'], undefined],
  ['another device', ['paku/edge/van-2/cmd/ota'], undefined],
  ['a client that has not subscribed yet', [], undefined],
])('%s', (_, filters, family) => {
  expect(subscribedFamily(filters, 'paku', 'van-1')).toBe(family);
});
