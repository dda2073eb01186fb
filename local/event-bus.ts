import { randomUUID } from 'node:crypto';
import { ACCOUNT, type Resource } from './assembly.ts';
import type { ObjectCreated } from './s3-store.ts';

export interface BusEvent {
  readonly source: string;
  readonly 'detail-type': string;
  readonly detail: object;
}

/** Whether an EventBridge pattern takes an event: exact values and `anything-but` a prefix, which is what we use. */
export function matchesPattern(pattern: unknown, value: unknown): boolean {
  if (Array.isArray(pattern)) return pattern.some((candidate) => matchesValue(candidate, value));
  if (typeof pattern !== 'object' || pattern === null || typeof value !== 'object' || value === null) return false;
  return Object.entries(pattern).every(([key, inner]) =>
    matchesPattern(inner, (value as Record<string, unknown>)[key]),
  );
}

function matchesValue(candidate: unknown, value: unknown): boolean {
  if (typeof candidate !== 'object' || candidate === null) return candidate === value;
  const { 'anything-but': unwanted, ...others } = candidate as { 'anything-but'?: { prefix?: string } };
  if (unwanted?.prefix === undefined || Object.keys(others).length > 0) {
    throw new Error(`the local runtime does not know the event pattern ${JSON.stringify(candidate)}`);
  }
  return typeof value === 'string' && !value.startsWith(unwanted.prefix);
}

interface RuleProperties {
  readonly EventPattern: unknown;
  readonly Targets: readonly { readonly Arn: string }[];
}

/** Delivers events to the targets of the rules that match. */
export class EventBus {
  readonly #rules: readonly RuleProperties[];
  readonly #deliver: (targetArn: string, event: string) => void;
  readonly #region: string;

  constructor(rules: readonly Resource[], region: string, deliver: (targetArn: string, event: string) => void) {
    this.#rules = rules.map(({ properties }) => properties as unknown as RuleProperties);
    this.#deliver = deliver;
    this.#region = region;
  }

  put(event: BusEvent): void {
    const envelope = {
      version: '0',
      id: randomUUID(),
      account: ACCOUNT,
      time: now(),
      region: this.#region,
      resources: [],
      ...event,
    };
    for (const { EventPattern, Targets } of this.#rules) {
      if (!matchesPattern(EventPattern, envelope)) continue;
      for (const { Arn } of Targets) this.#deliver(Arn, JSON.stringify(envelope));
    }
  }
}

/** EventBridge states whole seconds. */
const now = () => `${new Date().toISOString().slice(0, 19)}Z`;

/** S3's `Object Created`; the key is plain here, unlike in S3's own notifications. */
export function objectCreatedEvent({ bucket, key, size, etag, versionId, sequencer, reason }: ObjectCreated): BusEvent {
  const object = { key, size, etag: etag.replaceAll('"', ''), 'version-id': versionId, sequencer };
  return {
    source: 'aws.s3',
    'detail-type': 'Object Created',
    detail: { version: '0', bucket: { name: bucket }, object, reason },
  };
}
