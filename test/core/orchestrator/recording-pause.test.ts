import { expect, test } from 'vitest';
import { awakeAfter, type IdleMarker, lastPause } from '../../../core/orchestrator/index.ts';

const FROM = '2026-03-02T12:00:00.000Z';
const TO = '2026-03-02T13:00:00.000Z';
const IDLE: IdleMarker = { state: 'idle', since: FROM, until: TO, devices: [] };
const at = (time: string) => new Date(`2026-03-02T${time}:00.000Z`);

test('without a marker, and before the first idle period, there was no pause', () => {
  expect(lastPause(undefined)).toBeNull();
  expect(lastPause(awakeAfter(undefined, at('12:00')))).toBeNull();
});

test('the pause of an idle period ends at its sweep', () => {
  expect(lastPause(IDLE)).toEqual({ from: at('12:00'), to: at('13:00') });
  expect(lastPause(awakeAfter(IDLE, at('13:20')))).toEqual({ from: at('12:00'), to: at('13:00') });
});

test('a pause that news or an operator ends is shorter, and stays known when the system is woken again', () => {
  const awake = awakeAfter(IDLE, at('12:20'));
  expect(awake).toMatchObject({ state: 'awake', since: at('12:20').toISOString() });
  expect(lastPause(awakeAfter(awake, at('12:50')))).toEqual({ from: at('12:00'), to: at('12:20') });
});
