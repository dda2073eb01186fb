import * as z from 'zod';
import { DEVICE_ID, sha256 } from '../util/index.ts';
import { excerpt, isObject, type JsonObject, parseJson, toStorable, truncate } from './sanitize.ts';

/** Real status messages are shallow; deeper nesting than this is an attack on whoever walks the value next. */
const MAX_DEPTH = 16;

/** What a topic rule puts on a queue: the payload untouched in base64, beside what the broker itself knows. */
const envelope = z.object({
  payload: z.string(),
  topic: z.string().min(1).max(256),
  /** Milliseconds since the epoch, when the rules engine saw the message. */
  received_at: z.number().int().positive().max(8.64e15),
  client_id: z.string().max(128).optional(),
});

/**
 * What a rule's error action puts on a queue instead ("Error handling (error action)", AWS IoT developer guide). It says
 * who and what, but not when: SQS does, until the message is moved, which gives it the time of the move.
 */
const undelivered = z.object({
  ruleName: z.string(),
  topic: z.string().min(1).max(256),
  clientId: z.string().max(128).optional(),
  base64OriginalPayload: z.string(),
  failures: z.array(z.object({ errorMessage: z.string().optional() })).optional(),
});

const MAX_FAILURE_LENGTH = 200;

/** One message of a device, as the broker saw it. The topic says who sent it, never the payload. */
export interface RuleMessage {
  readonly topic: string;
  readonly deviceId: string;
  readonly clientId: string | null;
  readonly receivedAt: Date;
  readonly payload: JsonObject;
  /** SHA-256 of the payload's bytes, hex: with device, kind and time it names the message. */
  readonly payloadHash: string;
}

/** A message that cannot be processed and never will be: recorded for the operator, then acknowledged. */
export interface RejectedMessage {
  readonly topic: string;
  readonly clientId: string | null;
  readonly receivedAt: Date;
  readonly reason: string;
  readonly payload: Uint8Array;
  readonly payloadHash: string;
}

export type Decoded<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly rejected: RejectedMessage };

/**
 * Decodes a queue body into a message, whatever the bytes.
 * @param deviceIdSegment which topic segment is the device id, counted from 0
 * @param undeliveredAt when the body was put on its queue, where an error action did that
 */
export function decodeRuleMessage(
  body: string,
  deviceIdSegment: number,
  now: Date,
  undeliveredAt?: Date,
): Decoded<RuleMessage> {
  const queued = parseJson(body);
  const parsed = envelope.safeParse(undeliveredAt === undefined ? queued : dated(queued, undeliveredAt));
  if (!parsed.success) return { ok: false, rejected: undatedMessage(queued, now) ?? foreignBody(body, now) };

  const { topic, client_id, received_at } = parsed.data;
  const bytes = Buffer.from(parsed.data.payload, 'base64');
  const origin = {
    topic,
    clientId: client_id === undefined || client_id === 'n/a' ? null : toStorable(client_id),
    receivedAt: new Date(received_at),
    payloadHash: sha256(bytes),
  };
  const reject = (reason: string) => {
    const rejected = { ...origin, topic: toStorable(topic), reason: toStorable(reason), payload: bytes };
    return { ok: false, rejected } as const;
  };

  const deviceId = topic.split('/')[deviceIdSegment] ?? '';
  if (!DEVICE_ID.test(deviceId)) return reject(`topic names no valid device id: "${deviceId}"`);
  const text = bytes.toString('utf8');
  const payload = parseJson(text);
  if (!isObject(payload)) return reject('payload is not a JSON object');
  if (isDeep(text, payload)) return reject(`payload is nested deeper than ${MAX_DEPTH} levels`);
  const stated = payload.device_id;
  if (stated !== undefined && stated !== deviceId) {
    return reject(`payload says device_id ${excerpt(stated)}, the topic says ${deviceId}`);
  }
  // What cannot be payloadToStore comes into decoded UTF-8 by escapes alone.
  const payloadToStore = text.includes('\\u') ? (toStorable(payload) as JsonObject) : payload;
  return { ok: true, value: { ...origin, deviceId, payload: payloadToStore } };
}

/** A rejection of a decoded message, for a reason found later. */
export function rejectMessage(
  { topic, clientId, receivedAt, payload, payloadHash }: RuleMessage,
  reason: string,
): RejectedMessage {
  return { topic, clientId, receivedAt, reason, payload: Buffer.from(JSON.stringify(payload)), payloadHash };
}

/** What a rule would have put on its queue, had it not failed a moment ago. */
function dated(queued: unknown, undeliveredAt: Date): unknown {
  const { success, data } = undelivered.safeParse(queued);
  if (!success) return queued;
  const { base64OriginalPayload: payload, topic, clientId: client_id } = data;
  return { payload, topic, received_at: undeliveredAt.getTime(), client_id };
}

/**
 * A message without a time is kept and not believed: taken for newer than it is, an old status would undo an update and
 * an old failure end the wrong attempt. What the device says next is known to be newer.
 */
function undatedMessage(queued: unknown, now: Date): RejectedMessage | undefined {
  const { success, data } = undelivered.safeParse(queued);
  if (!success) return undefined;
  const payload = Buffer.from(data.base64OriginalPayload, 'base64');
  const failure = truncate(data.failures?.[0]?.errorMessage ?? 'no reason given', MAX_FAILURE_LENGTH);
  return {
    topic: toStorable(data.topic),
    clientId: data.clientId === undefined ? null : toStorable(data.clientId),
    receivedAt: now,
    reason: `its rule could not put it on the queue, and nobody noted when it came; what the device says next counts. The rule: ${failure}`,
    payload,
    payloadHash: sha256(payload),
  };
}

function foreignBody(body: string, now: Date): RejectedMessage {
  const payload = Buffer.from(body);
  const reason = 'queue message was not put there by a topic rule of this service';
  return { topic: '', clientId: null, receivedAt: now, reason, payload, payloadHash: sha256(payload) };
}

/** Few payloads have as many brackets as would do for it (what stands in them is a level too), and need a walk. */
function isDeep(text: string, payload: JsonObject): boolean {
  let brackets = 0;
  for (let at = 0; at < text.length && brackets < MAX_DEPTH; at++) if (text[at] === '{' || text[at] === '[') brackets++;
  return brackets >= MAX_DEPTH && depth(payload) > MAX_DEPTH;
}

/** Walks without recursion, so that a hostile depth costs time in proportion to its bytes and no stack. */
function depth(root: unknown): number {
  let level = [root];
  for (let levels = 0; ; levels++) {
    if (level.length === 0 || levels > MAX_DEPTH) return levels;
    level = level.flatMap((value) => (typeof value === 'object' && value !== null ? Object.values(value) : []));
  }
}
