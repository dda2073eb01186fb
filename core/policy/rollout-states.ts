/** The states of a rollout, derived from its row. The view `rollout_overview` derives them in SQL. */
export const ROLLOUT_STATES = ['draft', 'scheduled', 'active', 'halted', 'paused', 'completed', 'aborted'] as const;
export type RolloutState = (typeof ROLLOUT_STATES)[number];

/** The name of the orchestrator in columns that hold the name of an operator. */
export const ORCHESTRATOR = 'orchestrator';

/** The orchestrator halts a rollout; a person pauses it. */
export const stopWord = (by: string | null): 'halted' | 'paused' => (by === ORCHESTRATOR ? 'halted' : 'paused');

/** The actions of an operator on a rollout. */
export const ROLLOUT_ACTIONS = ['pause', 'resume', 'abort', 'advance', 'retry'] as const;
export type RolloutAction = (typeof ROLLOUT_ACTIONS)[number];

interface Move {
  readonly from: readonly RolloutState[];
  readonly to: RolloutState;
  readonly on: RolloutAction | 'started' | 'start time' | 'gate failed' | 'all devices finished';
}

/**
 * Every transition of a rollout. The diagram in docs/rollouts.md is drawn from this table, and the API refuses all
 * other transitions.
 */
export const ROLLOUT_MOVES: readonly Move[] = [
  { from: ['draft'], to: 'active', on: 'started' },
  { from: ['scheduled'], to: 'active', on: 'start time' },
  { from: ['active'], to: 'halted', on: 'gate failed' },
  { from: ['active'], to: 'completed', on: 'all devices finished' },
  { from: ['scheduled', 'active'], to: 'paused', on: 'pause' },
  { from: ['halted', 'paused'], to: 'active', on: 'resume' },
  { from: ['active'], to: 'active', on: 'advance' },
  { from: ['active', 'halted', 'paused', 'completed'], to: 'active', on: 'retry' },
  { from: ['draft', 'scheduled', 'active', 'halted', 'paused'], to: 'aborted', on: 'abort' },
];

/** The states in which an operator may take the action. */
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

/** What a rollout waits for that starts after another one. */
export const describePredecessor = ({ name, is_aborted: isAborted }: { name: string; is_aborted: boolean }): string =>
  isAborted
    ? `waiting for rollout "${name}", which was aborted: abort this one too, or create it again without waiting`
    : `waiting for rollout "${name}" to complete`;
