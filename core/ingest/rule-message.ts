import * as z from 'zod';
import type { DeviceTopics } from '../protocol/index.ts';
import { type DeviceId, type Result, sha256 } from '../util/index.ts';
import { readText } from './field-values.ts';
import { readPayload } from './read-payload.ts';
import { excerpt, type JsonObject, parseJson, toStorable, truncate } from './sanitize.ts';

/** What a topic rule puts on a queue: the unmodified payload in base64 and what the broker knows about the message. */
const envelope = z.object({
  payload: z.string(),
  topic: z.string().min(1).max(256),
  /** Milliseconds since the epoch at which the rules engine received the message. */
  received_at: z.number().int().positive().max(8.64e15),
  client_id: z.string().max(128).optional(),
  /** Who published it: the id of a certificate, or an identity of another form. */
  principal: z.string().max(2048).optional(),
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

/** SHA-256 of the certificate, in hex. */
const CERTIFICATE_ID = /^[0-9a-f]{64}$/;

/** Whose messages a function takes. */
export interface Senders {
  /** The topics; one that any other rule or `$aws/rules/…` led here is refused. */
  readonly topics: DeviceTopics;
  /** Whether a client may send what belongs to a device with another id than the client's. */
  readonly acceptAnyClientId: boolean;
}

/** One message of a device as the broker received it. The topic identifies the sender; the payload does not. */
export interface RuleMessage {
  readonly topic: string;
  readonly deviceId: DeviceId;
  readonly clientId: string | null;
  /** Id of the certificate that it was published with; null if that is not known. */
  readonly certificateId: string | null;
  readonly receivedAt: Date;
  /** The fields that could be read; empty if none could. */
  readonly payload: JsonObject;
  /** What could not be read and where; null if the payload was read whole. */
  readonly fault: string | null;
  /** False if nothing could be read. The message still shows that the device is alive. */
  readonly isReadable: boolean;
  /** The payload as it was sent. */
  readonly bytes: Uint8Array;
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

/**
 * Decodes a queue body into a message; accepts any bytes.
 * @param undeliveredAt when an error action put the body on its queue; undefined for any other body
 */
export function decodeRuleMessage(
  body: string,
  { topics, acceptAnyClientId }: Senders,
  now: Date,
  undeliveredAt?: Date,
): Result<RuleMessage, RejectedMessage> {
  const queued = parseJson(body);
  const parsed = envelope.safeParse(undeliveredAt === undefined ? queued : dated(queued, undeliveredAt));
  if (!parsed.success) return { ok: false, reason: undatedMessage(queued, now) ?? foreignBody(body, now) };

  const { topic, client_id, received_at, principal = '' } = parsed.data;
  const bytes = Buffer.from(parsed.data.payload, 'base64');
  const origin = {
    topic,
    clientId: client_id === undefined || client_id === 'n/a' ? null : toStorable(client_id),
    receivedAt: new Date(received_at),
    payloadHash: sha256(bytes),
  };
  const reject = (reason: string) => {
    const rejected = { ...origin, topic: toStorable(topic), reason: toStorable(reason), payload: bytes };
    return { ok: false, reason: rejected } as const;
  };

  const deviceId = topics.deviceOf(topic);
  if (deviceId === undefined) return reject(`not a topic of this kind of message: expected ${topics.form}`);
  // Anyone with access to the broker clears a retained message by an empty one; it does not show that the device lives.
  if (bytes.length === 0 && origin.clientId !== deviceId) return reject('the payload is empty');
  if (!acceptAnyClientId && origin.clientId !== null && origin.clientId !== deviceId) {
    return reject(`sent by the client ${excerpt(origin.clientId)}, the topic belongs to ${deviceId}`);
  }
  const reading = readPayload(bytes);
  const stated = reading.payload.device_id;
  if (namesAnother(stated, deviceId)) {
    return reject(`payload states device_id ${excerpt(stated)}, the topic states ${deviceId}`);
  }
  const certificateId = CERTIFICATE_ID.test(principal) ? principal : null;
  return { ok: true, value: { ...origin, deviceId, certificateId, bytes, ...reading } };
}

/** True if a payload names another device than its topic. Null, an empty text, or a list name none. */
function namesAnother(stated: unknown, deviceId: DeviceId): boolean {
  const name = readText(stated);
  return name !== null && name !== deviceId;
}

/** Rejects a decoded message for a reason that was found later. */
export function rejectMessage(
  { topic, clientId, receivedAt, bytes, payloadHash }: RuleMessage,
  reason: string,
): RejectedMessage {
  return { topic, clientId, receivedAt, reason: toStorable(reason), payload: bytes, payloadHash };
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
