import { expect, test } from 'vitest';
import { chooseReleases, proposeSteppingStones } from '../../../core/policy/stepping-stones.ts';

const release = (id: number, version: string, min_version: string | null = null) => ({ id, version, min_version });
const registered = [
  release(1, '1.5.0'),
  release(2, '2.0.0', '1.5.0'),
  release(3, '2.5.0', '2.0.0'),
  release(4, '3.0.0', '2.0.0'),
];
const policy = { allowDowngrade: false, includeUnknown: false, counters: [] };
const choose = (versions: string[], target = registered[3] as (typeof registered)[number], known = registered) =>
  Object.fromEntries(
    chooseReleases(versions, target, known, policy).flatMap(({ version, fromVersions }) =>
      fromVersions.map((from) => [from, version]),
    ),
  );

test('a device goes directly to the target if the target allows it', () => {
  expect(choose(['2.0.0', '2.5.0', 'v2.1.0'])).toEqual({ '2.0.0': '3.0.0', '2.5.0': '3.0.0', 'v2.1.0': '3.0.0' });
});
test('a device below the minimum gets the highest release that leads there', () => {
  expect(choose(['1.5.0', '1.9.0'])).toEqual({ '1.5.0': '2.0.0', '1.9.0': '2.0.0' });
});
test('a chain of stepping stones is followed one at a time', () => {
  expect(choose(['1.0.0'])).toEqual({ '1.0.0': '1.5.0' });
});
test('a stepping stone that leads nowhere is not used', () => {
  const known = [release(1, '1.5.0'), release(4, '3.0.0', '2.0.0')];
  expect(choose(['1.0.0'], known[1], known)).toEqual({});
});
test('many releases that lead nowhere are evaluated quickly', () => {
  const known = Array.from({ length: 400 }, (_, n) => release(n, `1.${n}.0`));
  expect(choose(['1.0.0', '1.7.0'], release(999, '9.0.0', '8.0.0'), known)).toEqual({});
});
test('a long chain is followed to its end', () => {
  const known = Array.from({ length: 300 }, (_, n) => release(n, `1.${n + 1}.0`, `1.${n}.0`));
  expect(choose(['1.0.0'], release(999, '1.301.0', '1.300.0'), known)).toEqual({ '1.0.0': '1.1.0' });
});
test('no stepping stone is above the target or below the device', () => {
  expect(choose(['3.0.0', '3.1.0', 'unknown'])).toEqual({});
});
test('stepping stones are marked', () => {
  expect(chooseReleases(['1.0.0', '2.0.0'], registered[3] as (typeof registered)[number], registered, policy)).toEqual([
    { releaseId: 1, version: '1.5.0', isSteppingStone: true, fromVersions: ['1.0.0'] },
    { releaseId: 4, version: '3.0.0', isSteppingStone: false, fromVersions: ['2.0.0'] },
  ]);
});

const propose = (known: typeof registered, target = registered[3] as (typeof registered)[number]) =>
  proposeSteppingStones(target, known).map(({ version }) => version);

test('the proposed stepping stones lead from every older version to the target, and no more than are used', () => {
  expect(propose(registered)).toEqual(['2.0.0', '1.5.0']);
});
test('no stepping stone is proposed to a target that every version may be updated to', () => {
  expect(propose(registered, release(9, '4.0.0'))).toEqual([]);
});
test('neither a pre-release nor a build of changed sources is proposed', () => {
  const known = [release(1, '2.5.0'), release(5, '2.9.0-rc.1'), release(6, '2.8.0-4-gabcdef0-dirty')];
  expect(propose(known)).toEqual(['2.5.0']);
});
test('the proposed stepping stones send each version the same release as all registered ones would', () => {
  for (let seed = 1; seed <= 200; seed++) {
    let state = seed;
    const random = (n: number) => {
      state = (state * 48_271) % 2_147_483_647;
      return state % n;
    };
    const version = (n: number) => `${1 + Math.floor(n / 4)}.${n % 4}.0`;
    const known = Array.from({ length: 12 }, (_, n) =>
      release(n, version(n), n > 0 && random(2) === 0 ? version(random(n)) : null),
    ).filter(() => random(3) > 0);
    const target = release(99, '5.0.0', version(1 + random(11)));
    const inUse = Array.from({ length: 12 }, (_, n) => version(n));
    const all = chooseReleases(inUse, target, known, policy);
    expect(chooseReleases(inUse, target, proposeSteppingStones(target, known), policy)).toEqual(all);
  }
});
