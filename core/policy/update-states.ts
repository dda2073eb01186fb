/** The states of a device update. */
export const UPDATE_STATES = [
  'pending',
  'sent',
  'downloading',
  'downloaded',
  'installing',
  'success',
  'failed',
  'rolled_back',
  'timed_out',
  'canceled',
] as const;
export type UpdateState = (typeof UPDATE_STATES)[number];

/** The states by which updates are counted, as `counted_state` of the schema gives them. */
export const COUNTED_STATES = [...UPDATE_STATES, 'on_probation', 'late_success', 'late_rollback'] as const;
export type CountedState = (typeof COUNTED_STATES)[number];

/** What a state says about an update. `waiting`: it was not sent yet; `installed`: proven, or on probation while it is open. */
type Phase = 'waiting' | 'under way' | 'installed' | 'failed' | 'canceled';

const PHASES: Readonly<Record<UpdateState, Phase>> = {
  pending: 'waiting',
  sent: 'under way',
  downloading: 'under way',
  downloaded: 'under way',
  installing: 'under way',
  success: 'installed',
  failed: 'failed',
  rolled_back: 'failed',
  timed_out: 'failed',
  canceled: 'canceled',
};

const statesIn = (phase: Phase) => UPDATE_STATES.filter((state) => PHASES[state] === phase);

/** The states of an update that was sent and whose result is not known. */
export const UNDER_WAY_STATES = statesIn('under way');
/** The states of an update that ended without success. */
export const FAILED_STATES = statesIn('failed');
/** The same as a list in SQL. The functions and indexes of the schema name them too, and a test compares both. */
export const FAILED_LIST = `(${FAILED_STATES.map((state) => `'${state}'`).join(', ')})`;

interface Move {
  readonly from: readonly UpdateState[];
  readonly to: UpdateState;
  /** What causes the transition, as a phrase for people. */
  readonly on: string;
}

/**
 * Every transition of a device update. Reports may be lost, so an update may appear to make several transitions at
 * once. The diagram in docs/rollouts.md is drawn from this table.
 */
export const UPDATE_MOVES: readonly Move[] = [
  { from: ['pending'], to: 'sent', on: 'command sent' },
  { from: ['sent'], to: 'pending', on: 'not connected, throttled, or seen awake without it' },
  { from: ['sent'], to: 'downloading', on: 'link opened, progress' },
  { from: ['downloading'], to: 'downloaded', on: 'verifying' },
  { from: ['downloaded'], to: 'installing', on: 'installing' },
  { from: ['installing'], to: 'success', on: 'result: installed' },
  { from: ['sent', 'downloading', 'downloaded', 'installing'], to: 'failed', on: 'result: failed, or refused' },
  { from: ['sent', 'downloading', 'downloaded', 'installing'], to: 'pending', on: 'failed or silent, worth a retry' },
  { from: ['downloaded', 'installing', 'success'], to: 'rolled_back', on: 'reboots into the old version' },
  { from: ['success'], to: 'failed', on: 'reports a third version, or restarts again and again' },
  { from: ['pending', 'sent', 'downloading', 'downloaded', 'installing', 'success'], to: 'timed_out', on: 'deadline' },
  { from: ['pending'], to: 'success', on: 'already runs it' },
  { from: ['pending'], to: 'failed', on: 'the command does not fit' },
  { from: ['pending', 'sent'], to: 'canceled', on: 'stop, take-over, revoked release' },
  {
    from: ['pending', 'sent', 'downloading', 'downloaded', 'installing', 'success'],
    to: 'canceled',
    on: 'identity of the device revoked',
  },
  { from: ['success'], to: 'canceled', on: 'sent back to the version before' },
];

/** True if an update may get from one state to the other in any number of transitions, including none. */
export function mayReach(from: UpdateState, to: UpdateState): boolean {
  const reached = new Set<UpdateState>([from]);
  for (const state of reached) {
    for (const move of UPDATE_MOVES) if (move.from.includes(state)) reached.add(move.to);
  }
  return reached.has(to);
}

/** The table as a Mermaid state diagram. */
export function drawUpdateStates(): string {
  const arrows = UPDATE_MOVES.flatMap(({ from, to, on }) => from.map((state) => `  ${state} --> ${to}: ${on}`));
  const ends = UPDATE_STATES.filter((state) => !UPDATE_MOVES.some(({ from }) => from.includes(state)));
  return [
    'stateDiagram-v2',
    '  [*] --> pending: assigned',
    ...arrows,
    '  success --> [*]: proven',
    ...ends.map((state) => `  ${state} --> [*]`),
  ].join('\n');
}
