import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { detailType, ROLLOUT_EVENTS, targetFilter } from '../../core/policy/index.ts';
import { RESULT_CODES } from '../../core/protocol/index.ts';
import { RESULT_MESSAGES } from '../../fleet/ota-failure.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

const sources = readdirSync(join(ROOT, 'core'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && file !== join('policy', 'rollout-events.ts'))
  .map((file) => read(join('core', file)));
const written = [...sources, read('schema/000001_initial.sql')].join('\n');

describe('the decisions about a rollout', () => {
  test('are written under the names of the list only', () => {
    const columns = new Set([...read('schema/current.sql').matchAll(/\brollout_\w+/g)].map(([name]) => name));
    // Some are made of a word: a stop is a halt or a pause, a hold begins or ends.
    const composed = ['rollout_paused', 'rollout_halted', 'rollout_held', 'rollout_hold_ended'];
    const events = [...written.matchAll(/'(rollout_[a-z_]+)'/g)].map(([, name = '']) => name);
    const names = new Set([...events.filter((name) => !columns.has(name)), ...composed, 'rollout_request_voided']);
    expect([...names].sort()).toEqual([...ROLLOUT_EVENTS].sort());
  });

  test('are named in docs/rollouts.md as the event bus has them', () => {
    const docs = new Set([...read('docs/rollouts.md').matchAll(/`(Rollout[A-Z]\w+)`/g)].map(([, name = '']) => name));
    expect([...docs].sort()).toEqual(ROLLOUT_EVENTS.map(detailType).sort());
  });
});

describe('the result codes', () => {
  const codes = RESULT_CODES.map(({ code }) => code);

  test('have a message of the simulated devices each', () => {
    expect(Object.keys(RESULT_MESSAGES).map(Number)).toEqual(codes);
  });

  test('are explained to the authors of firmware with what they count as', () => {
    const page = read('docs/connect-a-device.md');
    const listed = /`result_code`: ([^.]*)\./.exec(page)?.[1] ?? '';
    expect(listed.split(', ').map((entry) => Number.parseInt(entry, 10))).toEqual(codes);
    const codesIn = (text: string) => [...text.matchAll(/\d+/g)].map(([code]) => Number(code));
    const ofCause = (cause: string) => RESULT_CODES.filter((entry) => entry.cause === cause).map(({ code }) => code);
    expect(codesIn(/Codes ([\d, and]*) count against the release/.exec(page)?.[1] ?? '')).toEqual(ofCause('build'));
    expect(codesIn(/Codes ([\d, and]*),? and all others count as/.exec(page)?.[1] ?? '')).toEqual(ofCause('delivery'));
    expect(codesIn(/or the result code ([\d, and]*)\. It uses no attempt/.exec(page)?.[1] ?? '')).toEqual(
      ofCause('declined'),
    );
  });
});

test('the keys of a target filter are in the pages for operators', () => {
  const rollouts = read('docs/rollouts.md');
  expect(Object.keys(targetFilter.shape).filter((key) => !rollouts.includes(`\`${key}\``))).toEqual([]);
});
