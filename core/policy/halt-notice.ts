import { type RolloutId, someNames } from '../util/index.ts';

/** Failures of a halted rollout that are alike. */
export interface FailureGroup {
  readonly reason: string;
  readonly devices: number;
  /** The first of them. */
  readonly examples: readonly string[];
}

export interface HaltFacts {
  readonly rolloutId: RolloutId;
  readonly name: string;
  readonly firmwareVersion: string;
  readonly deviceModel: string;
  readonly reason: string;
  readonly at: Date;
  /** The counts of devices at that moment. */
  readonly numbers: Readonly<Record<'assigned' | 'succeeded' | 'failed' | 'silent', number>>;
  /** The most frequent first. */
  readonly failures: readonly FailureGroup[];
}

/** The lines of the message about a halt, by what they say. */
export interface HaltNotice {
  readonly summary: string;
  readonly reason: string;
  readonly devices: string;
  readonly failures: string;
  readonly look: string;
  readonly abort: string;
  readonly recover: string;
}

/** A line must fit into a mail that people read on a phone. */
const MAX_LINE = 400;

/**
 * Describes a halt to a person who gets it by mail: what stopped, why, on which devices, and the commands to act.
 * Parts of it come from devices, so no line can hold a line break, or a character that has a meaning in the template of
 * the message.
 */
export function describeHalt(facts: HaltFacts): HaltNotice {
  const { rolloutId: id, name, firmwareVersion, deviceModel, numbers } = facts;
  const groups = facts.failures.map(
    ({ reason, devices, examples }) => `${reason}, on ${count(devices)}: ${someNames(examples, devices)}`,
  );
  const lines = {
    summary: `Rollout '${name}' (${firmwareVersion} for ${deviceModel}) was halted at ${facts.at.toISOString()}.`,
    reason: facts.reason,
    devices: `${numbers.assigned} assigned, ${numbers.succeeded} proven, ${numbers.failed} failed, ${numbers.silent} silent`,
    failures: groups.length === 0 ? 'none' : groups.join('; '),
    look: `paku-ota rollout show ${id}, or the page /rollouts/${id} of the console (paku-ota console)`,
    abort: `paku-ota rollout abort ${id} --reason '...'`,
    recover: `paku-ota rollout recover ${id} --reason '...'`,
  };
  return {
    summary: toLine(lines.summary),
    reason: toLine(lines.reason),
    devices: toLine(lines.devices),
    failures: toLine(lines.failures),
    look: lines.look,
    abort: lines.abort,
    recover: lines.recover,
  };
}

const count = (devices: number) => (devices === 1 ? '1 device' : `${devices} devices`);

function toLine(text: string): string {
  const plain = text
    .replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ')
    .replaceAll(/["<>]/g, "'")
    .replaceAll('\\', '/');
  return plain.length <= MAX_LINE ? plain : `${plain.slice(0, MAX_LINE)}…`;
}
