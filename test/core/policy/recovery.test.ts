import { describe, expect, test } from 'vitest';
import { evaluateRecovery, planRetry, type UpdatedDevices } from '../../../core/policy/index.ts';
import type { EarlierRelease } from '../../../core/policy/recovery.ts';

const release = (version: string, given: Partial<EarlierRelease> = {}): EarlierRelease => ({
  id: 1,
  version,
  min_version: null,
  revoked_reason: null,
  distrust: null,
  secure_version: 0,
  ...given,
});
const on: UpdatedDevices = {
  version: '2.0.0',
  previous_version: '1.0.0',
  is_silent: false,
  is_under_way: false,
  is_revoked: false,
  is_changed: false,
  is_recovering: false,
  held_by: null,
};
const bad = release('2.0.0');
const evaluate = (devices: Partial<UpdatedDevices>, releases: readonly EarlierRelease[], leaves = bad) =>
  evaluateRecovery({ ...on, ...devices }, leaves, releases);

describe('whether a device is sent back', () => {
  test('to the version that it ran before, however the release is spelled', () => {
    expect(evaluate({}, [release('v1.0.0')])).toMatchObject({
      kind: 'recover',
      release: { version: 'v1.0.0' },
      mayRun: false,
    });
    expect(evaluate({ version: 'v2.0.0' }, [release('1.0.0')])).toMatchObject({ kind: 'recover' });
    expect(evaluate({ version: '2.0.0+ci.7' }, [release('1.0.0')])).toMatchObject({ kind: 'recover' });
  });

  test('a release that is not revoked is preferred among those of its version', () => {
    const releases = [release('1.0.0', { revoked_reason: 'lost key' }), release('v1.0.0', { id: 2 })];
    expect(evaluate({}, releases)).toMatchObject({ kind: 'recover', release: { id: 2 } });
  });

  test('to a version that has no order with the bad one', () => {
    expect(evaluate({ previous_version: 'blue' }, [release('blue')])).toMatchObject({ kind: 'recover' });
  });

  test('if it went silent in the update, because it may run the bad release', () => {
    expect(evaluate({ version: '1.0.0', is_silent: true }, [release('1.0.0')])).toMatchObject({
      kind: 'recover',
      mayRun: true,
    });
  });

  test.each([
    ['does not run the bad release', { version: '1.0.0' }, 'not on it'],
    ['has come to run a third version', { version: '3.0.0' }, 'not on it'],
    ['is still installing the bad release', { version: '1.0.0', is_under_way: true }, 'under way'],
    ['has an update of a recovery', { is_recovering: true }, 'recovering'],
  ])('not if it %s', (_, devices, kind) => {
    expect(evaluate(devices, [release('1.0.0')])).toEqual({ kind });
  });

  test.each<[Partial<UpdatedDevices>, readonly EarlierRelease[], string]>([
    [{ previous_version: 'unknown' }, [], 'the version before the update is not known'],
    [{ previous_version: null }, [], 'the version before the update is not known'],
    [{}, [], 'no release 1.0.0 is registered'],
    [{}, [release('1.0.0', { revoked_reason: 'leaks' })], 'release 1.0.0 was revoked: leaks'],
    [{ is_revoked: true }, [release('1.0.0')], 'the identity of the device was revoked'],
    [{ held_by: 'the fix' }, [release('1.0.0')], 'rollout "the fix" is updating the device now'],
    [{ previous_version: 'v2.0.0' }, [release('2.0.0')], 'the version before the update was 2.0.0, too'],
    [{ previous_version: '3.0.0' }, [release('3.0.0', { min_version: '2.5.0' })], 'release 3.0.0 needs at least 2.5.0'],
  ])('says why it cannot be: %j', (devices, releases, reason) => {
    expect(evaluate(devices, releases)).toEqual({ kind: 'cannot', reason });
  });

  test('not to a release with a lower secure version, which a device with anti-rollback refuses', () => {
    const answer = evaluate({}, [release('1.0.0', { secure_version: 1 })], release('2.0.0', { secure_version: 2 }));
    expect(answer).toEqual({
      kind: 'cannot',
      reason: 'release 1.0.0 has secure version 1, below 2 of 2.0.0: a device with anti-rollback refuses it',
    });
  });
});

describe('the attempts of a recovery', () => {
  const completedAt = new Date('2026-03-02T12:00:00Z');
  const verdict = {
    status: 'failed',
    cause: 'delivery',
    acknowledgedAt: completedAt,
    reportedAt: completedAt,
    percent: null,
    resultCode: null,
    errorMessage: 'the device restarted during the download',
    installedAt: null,
    bootedAt: null,
    unexpectedVersion: null,
    deadlineAt: null,
    completedAt,
    isTransient: true,
  } as const;
  const ended = {
    updateId: 7,
    attempt: 1,
    maxAttempts: 20,
    family: 'devices',
    isDelivered: true,
    delivery: 'direct',
    linkOpened: true,
    imageBytes: 900_000,
    declinedCount: 0,
    retryAfterSeconds: null,
    isRecovery: true,
  } as const;
  const waitOf = (attempt: number) => {
    const retry = planRetry(verdict, { ...ended, attempt });
    return retry && (retry.notBefore.getTime() - completedAt.getTime()) / 60_000;
  };

  test('follow at the next contact at first, and then wait longer and longer', () => {
    expect([1, 5, 9].map(waitOf)).toEqual([0, 0, 0]);
    expect([10, 11, 12, 17, 18].map(waitOf)).toEqual([2, 4, 8, 240, 240]);
    expect(waitOf(20)).toBeUndefined();
  });

  test('go on after a restart in the middle of the installation', () => {
    const interrupted = { ...verdict, status: 'rolled_back', cause: 'build', isTransient: false } as const;
    expect(planRetry(interrupted, ended)).toBeDefined();
    expect(planRetry(interrupted, { ...ended, isRecovery: false })).toBeUndefined();
    expect(planRetry({ ...interrupted, installedAt: completedAt }, ended)).toBeUndefined();
  });
});
