import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { ACCOUNT, type AwsService, arnOf, authorize, jsonService, operation, REGION } from '../../kernel/index.ts';

export interface BusEvent {
  readonly source: string;
  readonly 'detail-type': string;
  readonly detail: object;
}

/** A rule of the template with its targets. */
export interface BusRule {
  readonly pattern: EventPattern;
  deliver(event: string): void;
}

/** True for the events that match. */
export type EventPattern = (value: unknown) => boolean;

/**
 * Creates a function that delivers an event to the rules that match it.
 * @param now milliseconds since the epoch
 */
export function eventBus(rules: readonly BusRule[], now: () => number): (event: BusEvent) => void {
  return (event) => {
    // EventBridge writes times in whole seconds.
    const time = `${new Date(now()).toISOString().slice(0, 19)}Z`;
    const envelope = {
      version: '0',
      id: randomUUID(),
      time,
      account: ACCOUNT,
      region: REGION,
      resources: [],
      ...event,
    };
    for (const { pattern, deliver } of rules) if (pattern(envelope)) deliver(JSON.stringify(envelope));
  };
}

/**
 * Compiles an EventBridge event pattern. Supported are exact values and `anything-but` a prefix, which the templates use.
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
  return (value) => {
    const values = Object(value) as Record<string, unknown>;
    return fields.every(([key, matches]) => matches(values[key]));
  };
}

const anythingBut = z.strictObject({ 'anything-but': z.strictObject({ prefix: z.string() }) });

function compileCandidate(candidate: unknown): EventPattern {
  if (typeof candidate === 'string') return (value) => candidate === value;
  const { data } = anythingBut.safeParse(candidate);
  if (!data) throw unknownPattern(candidate);
  return (value) => typeof value === 'string' && !value.startsWith(data['anything-but'].prefix);
}

function unknownPattern(pattern: unknown): Error {
  return new Error(
    `the local runtime does not know the event pattern ${JSON.stringify(pattern)}; it knows values and anything-but a prefix`,
  );
}

/** Entries per call (EventBridge quotas). */
const MAX_ENTRIES = 10;

const entrySchema = z.strictObject({
  EventBusName: z.literal('default'),
  Source: z.string().min(1),
  DetailType: z.string().min(1),
  Detail: z.string(),
  Time: z.number().optional(),
});

/** EventBridge: PutEvents to the bus that the template's rules match. */
export function eventsService(putEvent: (event: BusEvent) => void): AwsService {
  const putEvents = operation({ Entries: z.array(entrySchema).min(1).max(MAX_ENTRIES) }, ({ Entries }, identity) => {
    authorize(identity, 'events:PutEvents', arnOf('events', 'event-bus/default'));
    for (const { Source: source, DetailType, Detail } of Entries) {
      putEvent({ source, 'detail-type': DetailType, detail: JSON.parse(Detail) as object });
    }
    return { FailedEntryCount: 0, Entries: Entries.map(() => ({ EventId: randomUUID() })) };
  });
  return jsonService({ 'AWSEvents.PutEvents': putEvents });
}
