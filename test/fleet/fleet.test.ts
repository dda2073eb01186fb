import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { scaledClock } from '../../fleet/clock.ts';
import { Fleet } from '../../fleet/fleet.ts';
import { FIELD_MIX, membersOf } from '../../fleet/fleet-mix.ts';
import { createTestAuthority } from '../support/certificates.ts';
import { TestBroker } from './test-broker.ts';

let broker: TestBroker;
beforeAll(async () => {
  broker = await TestBroker.start(await createTestAuthority());
});
afterAll(() => broker.stop());

describe('a fleet', () => {
  it('connects every device to the broker, and disconnects it at the end', async () => {
    const fleet = new Fleet({
      size: 8,
      firmwareVersion: '1.0.0',
      clock: scaledClock(),
      connectionFor: (deviceId) => broker.connectionFor(deviceId),
      common: { behaviours: {} },
    });
    const kinds: string[] = [];
    fleet.on('state', ({ kind, deviceId }) => kinds.push(`${deviceId} ${kind}`));

    await fleet.start();
    while (kinds.length < 8) await once(fleet, 'state');
    const there = fleet.members.map(({ deviceId }) => deviceId);
    await broker.until(() => there.every((id) => broker.from(id, '/status').length > 0));
    await fleet.stop();

    expect(kinds.slice(0, 8).sort()).toEqual(there.map((id) => `${id} connected`).sort());
    expect(broker.departures.filter((id) => there.includes(id))).toHaveLength(8);
  });
});

describe('the members of a fleet', () => {
  it('are the same for the same seed, and different from each other', () => {
    const members = membersOf(FIELD_MIX, 50, 3);

    expect(membersOf(FIELD_MIX, 50, 3)).toEqual(members);
    expect(new Set(members.map(({ deviceId }) => deviceId)).size).toBe(50);
  });

  it('have ids of at most 20 characters and MAC addresses in upper case', () => {
    for (const { deviceId, mac } of membersOf(FIELD_MIX, 20, 1)) {
      expect(deviceId).toMatch(/^ESP(32|8266)-[0-9A-F]{8}$/);
      expect(mac).toMatch(/^([0-9A-F]{2}:){5}[0-9A-F]{2}$/);
    }
  });

  it('are of every kind, with one ESP8266 and several that sleep', () => {
    const members = membersOf(FIELD_MIX, 20, 1);

    expect(members.filter(({ chip }) => chip === 'ESP8266')).toHaveLength(1);
    expect(members.filter(({ behaviours }) => behaviours?.sleep !== undefined).length).toBeGreaterThan(1);
    expect(new Set(members.map(({ statusForm }) => statusForm)).size).toBe(4);
  });
});
