import { randomUUID } from 'node:crypto';
import type { ObjectCreated } from './s3-store.ts';

export interface BusEvent {
  readonly source: string;
  readonly 'detail-type': string;
  readonly detail: object;
}

/** A rule of the template, ready to deliver to its targets. */
export interface BusRule {
  readonly pattern: EventPattern;
  deliver(event: string): void;
}

/** Which events a rule takes. */
export type EventPattern = (value: unknown) => boolean;

/**
 * Compiles an EventBridge event pattern: exact values and `anything-but` a prefix, which is what our templates use.
 * @throws Error for any other operator
 * @see https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html
 */
export function compileEventPattern(pattern: unknown): EventPattern {
  if (Array.isArray(pattern)) {
    const candidates = pattern.map(compileCandidate);
    return (value) => candidates.some((matches) => matches(value));
  }
  if (typeof pattern !== 'object' || pattern === null) throw unknownPattern(pattern);
  const fields = Object.entries(pattern).map(([key, inner]) => [key, compileEventPattern(inner)] as const);
  return (value) =>
    typeof value === 'object' &&
    value !== null &&
    fields.every(([key, matches]) => matches((value as Record<string, unknown>)[key]));
}

function compileCandidate(candidate: unknown): EventPattern {
  if (typeof candidate !== 'object' || candidate === null) return (value) => candidate === value;
  const [[operator, argument] = [], ...others] = Object.entries(candidate);
  const [[kind, prefix] = [], ...more] = Object.entries((argument as object | undefined) ?? {});
  const known = operator === 'anything-but' && kind === 'prefix' && typeof prefix === 'string';
  if (!known || others.length + more.length > 0) throw unknownPattern(candidate);
  return (value) => typeof value === 'string' && !value.startsWith(prefix);
}

function unknownPattern(pattern: unknown): Error {
  return new Error(
    `the local runtime does not know the event pattern ${JSON.stringify(pattern)}; it knows values and anything-but a prefix`,
  );
}

/** Hands events to the rules that match them. */
export class EventBus {
  readonly #rules: readonly BusRule[];
  readonly #origin: { readonly region: string; readonly account: string };
  readonly #now: () => number;

  /** @param now milliseconds since the epoch */
  constructor(
    rules: readonly BusRule[],
    origin: { readonly region: string; readonly account: string },
    now: () => number,
  ) {
    this.#rules = rules;
    this.#origin = origin;
    this.#now = now;
  }

  put(event: BusEvent): void {
    // EventBridge states whole seconds.
    const time = `${new Date(this.#now()).toISOString().slice(0, 19)}Z`;
    const envelope = { version: '0', id: randomUUID(), time, resources: [], ...this.#origin, ...event };
    for (const { pattern, deliver } of this.#rules) if (pattern(envelope)) deliver(JSON.stringify(envelope));
  }
}

/**
 * S3's `Object Created`; the key is plain here, unlike in S3's own notifications.
 * @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
 */
export function objectCreatedEvent({ bucket, key, size, etag, versionId, sequencer, reason }: ObjectCreated): BusEvent {
  const object = { key, size, etag: etag.replaceAll('"', ''), 'version-id': versionId, sequencer };
  return {
    source: 'aws.s3',
    'detail-type': 'Object Created',
    detail: { version: '0', bucket: { name: bucket }, object, reason },
  };
}
