import * as z from 'zod';
import { DEVICE_ID, sha256 } from '../util/index.ts';
import { excerpt, isObject, type JsonObject, parseJson, toStorable, truncate } from './sanitize.ts';

/** Real status messages are shallow. Deeper nesting could exhaust the stack of code that processes the value. */
const MAX_DEPTH = 16;

/** What a topic rule puts on a queue: the unmodified payload in base64 and what the broker knows about the message. */
const envelope = z.object({
  payload: z.string(),
  topic: z.string().min(1).max(256),
  /** Milliseconds since the epoch at which the rules engine received the message. */
  received_at: z.number().int().positive().max(8.64e15),
  client_id: z.string().max(128).optional(),
});

/**
 * What a rule's error action puts on a queue instead ("Error handling (error action)", AWS IoT developer guide). It
 * contains no receive time. SQS knows when the message was queued, but moving the message to another queue resets that
 * time.
 */
const undelivered = z.object({
  ruleName: z.string(),
  topic: z.string().min(1).max(256),
  clientId: z.string().max(128).optional(),
  base64OriginalPayload: z.string(),
  failures: z.array(z.object({ errorMessage: z.string().optional() })).optional(),
});

const MAX_FAILURE_LENGTH = 200;

/** One message of a device as the broker received it. The topic identifies the sender; the payload does not. */
export interface RuleMessage {
  readonly topic: string;
  readonly deviceId: string;
  readonly clientId: string | null;
  readonly receivedAt: Date;
  readonly payload: JsonObject;
  /** SHA-256 of the payload's bytes, in hex. Identifies the message together with device, kind and receive time. */
  readonly payloadHash: string;
}

/** A message that can never be processed: it is recorded for the operator and then acknowledged. */
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
 * Decodes a queue body into a message; accepts any bytes.
 * @param deviceIdSegment position of the device id in the topic, counted from 0
 * @param undeliveredAt when an error action put the body on its queue; undefined for any other body
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
  if (!DEVICE_ID.test(deviceId)) return reject(`the topic does not contain a valid device id: "${deviceId}"`);
  const text = bytes.toString('utf8');
  const payload = parseJson(text);
  if (!isObject(payload)) return reject('payload is not a JSON object');
  if (isDeep(text, payload)) return reject(`payload is nested deeper than ${MAX_DEPTH} levels`);
  const stated = payload.device_id;
  if (stated !== undefined && stated !== deviceId) {
    return reject(`payload states device_id ${excerpt(stated)}, the topic states ${deviceId}`);
  }
  // Decoded UTF-8 contains characters that cannot be stored only if the JSON has escapes.
  const payloadToStore = text.includes('\\u') ? (toStorable(payload) as JsonObject) : payload;
  return { ok: true, value: { ...origin, deviceId, payload: payloadToStore } };
}

/** Rejects a decoded message for a reason that was found later. */
export function rejectMessage(
  { topic, clientId, receivedAt, payload, payloadHash }: RuleMessage,
  reason: string,
): RejectedMessage {
  return { topic, clientId, receivedAt, reason, payload: Buffer.from(JSON.stringify(payload)), payloadHash };
}

/** The envelope that the rule would have put on its queue, had it not failed moments ago. */
function dated(queued: unknown, undeliveredAt: Date): unknown {
  const { success, data } = undelivered.safeParse(queued);
  if (!success) return queued;
  const { base64OriginalPayload: payload, topic, clientId: client_id } = data;
  return { payload, topic, received_at: undeliveredAt.getTime(), client_id };
}

/**
 * A message without a receive time is recorded but not used: if an old message counted as new, an old status would undo
 * an update and an old failure would end the wrong attempt. The device's next message has a receive time.
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
    reason: `its topic rule could not put it on the queue, and its receive time is unknown; the device's next message counts. The rule: ${failure}`,
    payload,
    payloadHash: sha256(payload),
  };
}

function foreignBody(body: string, now: Date): RejectedMessage {
  const payload = Buffer.from(body);
  const reason = 'the queue message was not sent by a topic rule of this service';
  return { topic: '', clientId: null, receivedAt: now, reason, payload, payloadHash: sha256(payload) };
}

/** Counts brackets first: few payloads have enough of them to be too deep, and only those need a traversal. */
function isDeep(text: string, payload: JsonObject): boolean {
  let brackets = 0;
  for (let at = 0; at < text.length && brackets < MAX_DEPTH; at++) if (text[at] === '{' || text[at] === '[') brackets++;
  return brackets >= MAX_DEPTH && depth(payload) > MAX_DEPTH;
}

/**
 * Measures depth level by level, without recursion, so that hostile nesting costs time in proportion to its bytes and
 * no stack.
 */
function depth(root: unknown): number {
  let level = [root];
  for (let levels = 0; ; levels++) {
    if (level.length === 0 || levels > MAX_DEPTH) return levels;
    level = level.flatMap((value) => (typeof value === 'object' && value !== null ? Object.values(value) : []));
  }
}
