/** The states of a rollout, derived from its row; the view `rollout_overview` says the same in SQL. */
export const ROLLOUT_STATES = ['draft', 'scheduled', 'active', 'halted', 'paused', 'completed', 'aborted'] as const;
export type RolloutState = (typeof ROLLOUT_STATES)[number];

/** The orchestrator's name where operators stand with theirs. */
export const ORCHESTRATOR = 'orchestrator';

/** How a rollout was stopped, by who did it: the orchestrator halts one, people pause it. */
export const stopWord = (by: string | null): 'halted' | 'paused' => (by === ORCHESTRATOR ? 'halted' : 'paused');

/** What an operator may do with a rollout. */
export const ROLLOUT_ACTIONS = ['pause', 'resume', 'abort', 'advance', 'retry'] as const;
export type RolloutAction = (typeof ROLLOUT_ACTIONS)[number];

interface Move {
  readonly from: readonly RolloutState[];
  readonly to: RolloutState;
  readonly on: RolloutAction | 'started' | 'start time' | 'gate failed' | 'every member has ended';
}

/** Every move of a rollout. The diagram of docs/rollouts.md is drawn from this table, and the API refuses what is not in it. */
export const ROLLOUT_MOVES: readonly Move[] = [
  { from: ['draft'], to: 'active', on: 'started' },
  { from: ['scheduled'], to: 'active', on: 'start time' },
  { from: ['active'], to: 'halted', on: 'gate failed' },
  { from: ['active'], to: 'completed', on: 'every member has ended' },
  { from: ['scheduled', 'active'], to: 'paused', on: 'pause' },
  { from: ['halted', 'paused'], to: 'active', on: 'resume' },
  { from: ['active'], to: 'active', on: 'advance' },
  { from: ['active', 'halted', 'paused', 'completed'], to: 'active', on: 'retry' },
  { from: ['draft', 'scheduled', 'active', 'halted', 'paused'], to: 'aborted', on: 'abort' },
];

/** The states in which an operator may do it. */
export const statesFor = (action: RolloutAction): RolloutState[] =>
  ROLLOUT_MOVES.filter(({ on }) => on === action).flatMap(({ from }) => from);

/** The table as a Mermaid state diagram. */
export function drawRolloutStates(): string {
  const arrows = ROLLOUT_MOVES.flatMap(({ from, to, on }) => from.map((state) => `  ${state} --> ${to}: ${on}`));
  return [
    'stateDiagram-v2',
    '  [*] --> draft',
    '  [*] --> scheduled',
    '  [*] --> active',
    ...arrows,
    '  completed --> [*]',
    '  aborted --> [*]',
  ].join('\n');
}
