import { createRoute, z } from '@hono/zod-openapi';
import { answer, jsonBody, pageOf, pageQuery, refusals, timestamp } from './common.ts';
import { decisionSchema, rolloutSummarySchema } from './rollouts.ts';

/** What can need attention. The console has a remedy for each. */
export const ATTENTION_KINDS = [
  'service_held',
  'unverified_bytes',
  'rollout_halted',
  'rollout_paused',
  'approval_requested',
  'group_held',
  'device_held',
  'rollout_stalled',
  'refused_by_policy',
  'late_rollback',
  'identity_changed',
  'model_assumed',
  'mac_shared',
  'extra_certificates',
  'certificates_revoked',
  'dead_letters',
  'rejected_uploads',
  'rejected_messages',
] as const;
export type AttentionKind = (typeof ATTENTION_KINDS)[number];

export const fleetSchema = z
  .object({
    devices: z.number().int().describe('Registered devices, without revoked ones.'),
    revoked: z.number().int().describe('Revoked devices, which no other number here includes.'),
    idle_since: timestamp
      .nullable()
      .describe(
        'Start of the current idle period. In idle mode, redundant heartbeats are not stored, so `last_seen` is not updated.',
      ),
    seen: z
      .object({
        online: z.number().int().describe('By their last message and their reporting habit.'),
        last_hour: z.number().int(),
        last_day: z.number().int(),
        last_week: z.number().int(),
        is_estimate: z.boolean(),
      })
      .describe('Devices seen within that time; for a fleet of more than 50,000, an estimate from a sample.'),
    versions: z.array(z.object({ device_model: z.string(), firmware_version: z.string(), devices: z.number().int() })),
    rollouts: z.array(rolloutSummarySchema).describe('Active, scheduled, halted and paused rollouts.'),
    attention: z
      .array(z.object({ kind: z.enum(ATTENTION_KINDS), message: z.string(), link: z.string().nullable() }))
      .describe('What needs attention, the most urgent first. `link` is a page of the console.'),
  })
  .openapi('Fleet');
export type Fleet = z.infer<typeof fleetSchema>;

export const versionHistorySchema = z
  .object({
    items: z.array(
      z.object({
        at: timestamp,
        device_model: z.string(),
        firmware_version: z.string(),
        devices: z.number().int(),
      }),
    ),
  })
  .openapi('VersionHistory');
export type VersionHistory = z.infer<typeof versionHistorySchema>;

export const rejectedMessageSchema = z
  .object({
    id: z.number().int(),
    topic: z.string(),
    client_id: z.string().nullable(),
    reason: z.string(),
    beginning: z.string().describe('The readable beginning of the payload.'),
    payload: z.string().describe('Base64; the first 16 KiB.'),
    payload_bytes: z.number().int(),
    received_at: timestamp,
  })
  .openapi('RejectedMessage');
export type RejectedMessage = z.infer<typeof rejectedMessageSchema>;

export const deadLetterQueueSchema = z
  .object({
    queue: z.string().describe('`status`, `ota`, `upload` or `dispatch`.'),
    messages: z.number().int().describe('Approximately.'),
  })
  .openapi('DeadLetterQueue');
export type DeadLetterQueue = z.infer<typeof deadLetterQueueSchema>;

export const serviceInfoSchema = z
  .object({
    version: z.string(),
    schema_version: z.number().int(),
    database_time: timestamp,
    topic_prefix: z.string(),
    caller: z.string().describe('The IAM identity that signed the call.'),
    requires_approval: z
      .boolean()
      .describe(
        'True if a rollout is started, resumed, retried or advanced only once a second person has approved it.',
      ),
  })
  .openapi('ServiceInfo');
export type ServiceInfo = z.infer<typeof serviceInfoSchema>;

export const tickSchema = z
  .object({
    ran: z.boolean().describe('false if another tick was running.'),
    rollouts: z.array(
      z.object({ rollout: z.string(), state: z.string(), assigned: z.number().int(), pending: z.number().int() }),
    ),
    failed: z
      .array(z.number().int())
      .describe('Ids of rollouts that failed; the log has the errors. The other rollouts were processed.'),
  })
  .openapi('Tick');
export type Tick = z.infer<typeof tickSchema>;

export const getFleet = createRoute({
  method: 'get',
  path: '/v1/fleet',
  tags: ['Service'],
  summary: 'The fleet at a glance',
  responses: { 200: answer('The fleet', fleetSchema), ...refusals() },
});

export const fleetHistory = createRoute({
  method: 'get',
  path: '/v1/fleet/history',
  tags: ['Service'],
  summary: 'How many devices ran which version over time',
  request: {
    query: z.strictObject({
      hours: z.coerce
        .number()
        .int()
        .min(1)
        .max(24 * 365)
        .default(24),
    }),
  },
  responses: { 200: answer('Samples, oldest first, at most 300 per series', versionHistorySchema), ...refusals() },
});

export const listEvents = createRoute({
  method: 'get',
  path: '/v1/events',
  tags: ['Service'],
  summary: 'Decisions about rollouts: the newest, or those after an event',
  request: {
    query: z.strictObject({
      after: z.coerce.number().int().min(0).optional().describe('`event_id` of the last known event.'),
      limit: pageQuery.limit,
    }),
  },
  responses: { 200: answer('Events, oldest first', z.object({ items: z.array(decisionSchema) })), ...refusals() },
});

export const listRejectedMessages = createRoute({
  method: 'get',
  path: '/v1/rejected-messages',
  tags: ['Service'],
  summary: 'Messages of devices that could not be processed, newest first',
  request: { query: z.strictObject(pageQuery) },
  responses: { 200: answer('A page', pageOf('RejectedMessagePage', rejectedMessageSchema)), ...refusals() },
});

export const listDeadLetters = createRoute({
  method: 'get',
  path: '/v1/dead-letters',
  tags: ['Service'],
  summary: 'Dead-letter queues with their number of messages',
  responses: { 200: answer('Queues', z.object({ items: z.array(deadLetterQueueSchema) })), ...refusals() },
});

export const redriveDeadLetters = createRoute({
  method: 'post',
  path: '/v1/dead-letters/redrive',
  tags: ['Service'],
  summary: 'Redrive the messages of a dead-letter queue to their function',
  request: { body: jsonBody(z.strictObject({ queue: z.string() })) },
  responses: { 202: answer('The messages are being moved', deadLetterQueueSchema), ...refusals(404) },
});

export const serviceInfo = createRoute({
  method: 'get',
  path: '/v1/info',
  tags: ['Service'],
  summary: 'The deployed version',
  responses: { 200: answer('The service', serviceInfoSchema), ...refusals() },
});

export const runTick = createRoute({
  method: 'post',
  path: '/v1/tick',
  tags: ['Service'],
  summary: 'Run the orchestrator now',
  responses: { 200: answer('The result of the tick', tickSchema), ...refusals() },
});
