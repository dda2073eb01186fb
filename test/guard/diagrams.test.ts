import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { drawRolloutStates, drawUpdateStates, mayReach, UPDATE_MOVES, UPDATE_STATES } from '../../core/policy/index.ts';

test('the diagrams of docs/rollouts.md are those of the tables that the code goes by', () => {
  const page = readFileSync(new URL('../../docs/rollouts.md', import.meta.url), 'utf8');
  const diagrams = [...page.matchAll(/```mermaid\n([^`]*)\n```/g)].map(([, text]) => text);
  expect(diagrams).toEqual([drawRolloutStates(), drawUpdateStates()]);
});

test('every state of an update is reached from its claim, and a final one is never left', () => {
  const final = UPDATE_STATES.filter((state) => !UPDATE_MOVES.some(({ from }) => from.includes(state)));
  expect(final).toEqual(['failed', 'rolled_back', 'timed_out', 'canceled']);
  for (const state of UPDATE_STATES) {
    expect(mayReach('pending', state)).toBe(true);
    for (const end of final) expect(mayReach(end, state)).toBe(end === state);
  }
});

test('what was written is never sent again', () => {
  for (const state of ['pending', 'sent', 'downloading'] as const) expect(mayReach('success', state)).toBe(false);
});
