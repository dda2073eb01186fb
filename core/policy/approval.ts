import { isDeepStrictEqual } from 'node:util';
import type { LimitPer } from './limit-per.ts';
import { type RolloutState, statesFor } from './rollout-states.ts';

/** The actions on a rollout that wait for a second person where `requireApproval` is set. */
export const APPROVABLE_ACTIONS = ['start', 'resume', 'retry', 'advance'] as const;
export type ApprovableAction = (typeof APPROVABLE_ACTIONS)[number];

/** The states of a rollout in which an action can be requested. */
export const approvableStates = (action: ApprovableAction): readonly RolloutState[] =>
  action === 'start' ? ['draft'] : statesFor(action);

/** The actions that a rollout in this state has, and that a second person must approve. */
export const actionsToApprove = (state: RolloutState): ApprovableAction[] =>
  APPROVABLE_ACTIONS.filter((action) => approvableStates(action).includes(state));

/** The limits of a rollout that may be changed while it runs. */
export interface Limits {
  readonly failure_threshold: number;
  readonly failure_count: number | null;
  readonly max_restart_ratio: number | null;
  readonly min_reports: number;
  readonly max_in_flight: number | null;
  readonly max_in_flight_per: LimitPer | null;
  readonly max_per_minute: number | null;
  readonly send_window: object | null;
  readonly keep_open: boolean;
}

/** New values of limits; undefined keeps the one before. */
export type ChangedLimits = { readonly [Limit in keyof Limits]?: Limits[Limit] | undefined };

/**
 * The limits that a change would make looser: a gate that allows more, a higher rate, a longer life, or other times.
 * Null means no limit. With fewer `min_reports` a slow start grows sooner, with more of them the failure threshold
 * applies later.
 */
export function listLooserLimits(before: Limits, changes: ChangedLimits): string[] {
  const given = Object.entries(changes).filter(([, value]) => value !== undefined);
  const after: Limits = { ...before, ...Object.fromEntries(given) };
  const HIGHER = [
    'failure_threshold',
    'failure_count',
    'max_restart_ratio',
    'max_in_flight',
    'max_per_minute',
  ] as const;
  const higher = HIGHER.filter((limit) => (after[limit] ?? Infinity) > (before[limit] ?? Infinity));
  const other = (['min_reports', 'send_window'] as const).filter(
    (limit) => !isDeepStrictEqual(after[limit], before[limit]),
  );
  return [
    ...higher,
    ...other,
    ...(isLooserPerValue(before.max_in_flight_per, after.max_in_flight_per) ? ['max_in_flight_per'] : []),
    ...(after.keep_open && !before.keep_open ? ['keep_open'] : []),
  ];
}

/** Also true for another attribute: the approval was for a limit on the values of the first. */
const isLooserPerValue = (before: LimitPer | null, after: LimitPer | null): boolean =>
  before !== null && (after?.attribute !== before.attribute || after.max > before.max);

/** Roles of IAM Identity Center, which sets the session name to the name of the user. */
const IDENTITY_CENTER_ROLE = /^AWSReservedSSO_.+_[0-9a-f]{16}$/;

interface Identity {
  readonly account: string;
  /** The name of the user, or of the session. */
  readonly name: string;
  /** Undefined unless the identity is an assumed role. */
  readonly role: string | undefined;
}

/**
 * Why a caller counts as the person who requested an action, and cannot approve it; undefined if the two differ. A name
 * stands for one person in every role, so a second role does not make a second person. Whoever assumes a role chooses
 * the name of the session, except in IAM Identity Center; sessions of another role are therefore one person.
 * @param requestedBy ARN of the IAM identity that made the request
 * @param caller ARN of the IAM identity that wants to approve it
 */
export function describeSamePerson(requestedBy: string, caller: string): string | undefined {
  const first = parseIdentity(requestedBy);
  const second = parseIdentity(caller);
  if (requestedBy === caller) return 'you requested it, and a second person must approve it';
  if (first === undefined || second === undefined) {
    return `${first === undefined ? requestedBy : caller} is not the ARN of an IAM user or of an assumed role, so it cannot be told from another person`;
  }
  if (first.name.toLowerCase() === second.name.toLowerCase()) {
    return `${requestedBy} requested it, whose name is yours, and a second person must approve it`;
  }
  const isSameRole =
    first.role !== undefined &&
    first.role.toLowerCase() === second.role?.toLowerCase() &&
    first.account === second.account;
  if (!isSameRole || IDENTITY_CENTER_ROLE.test(first.role)) return undefined;
  return `${requestedBy} requested it by a session of your role, and whoever assumes ${first.role} chooses the name of the session; approve it by another role`;
}

function parseIdentity(arn: string): Identity | undefined {
  const [, , service, , account = '', ...rest] = arn.split(':');
  const [kind, ...names] = rest.join(':').split('/');
  if (service === 'sts' && kind === 'assumed-role' && names.length === 2) {
    const [role, name = ''] = names;
    return name === '' ? undefined : { account, name, role };
  }
  const name = names.at(-1) ?? '';
  // A user chooses the name of a federated user (sts:GetFederationToken).
  return service === 'iam' && kind === 'user' && name !== '' ? { account, name, role: undefined } : undefined;
}
