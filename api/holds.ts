import { createRoute, z } from '@hono/zod-openapi';
import { HOLD_FILTERS, HOLD_SCOPES } from '../core/policy/index.ts';
import { answer, deviceId, jsonBody, label, pageOf, pageQuery, reasonBody, refusals, timestamp } from './common.ts';
import { reached_by } from './reach.ts';

export const holdInForceSchema = z
  .object({
    hold_id: z.number().int(),
    scope: z.enum(HOLD_SCOPES).describe('What it holds: the whole service, a group, or one device.'),
    device_id: z.string().nullable(),
    group_name: z.string().nullable().describe('Devices that join the group later are held, too.'),
    reason: z.string(),
    created_at: timestamp,
    created_by: z.string().nullable().describe('The IAM identity that set it; null: SQL.'),
    starts_at: timestamp.nullable().describe('When the orchestrator lets it begin; null: it began when it was set.'),
    began_at: timestamp.nullable().describe('Null: it is planned, and holds nothing yet.'),
    ends_at: timestamp.nullable().describe('When the orchestrator ends it; null: it stays until it is removed.'),
    text: z.string().describe('The hold in one sentence.'),
  })
  .openapi('HoldInForce');
export type HoldInForce = z.infer<typeof holdInForceSchema>;

const hold = {
  ...holdInForceSchema.shape,
  ended_at: timestamp.nullable().describe('Null: it is in force or planned.'),
  ended_by: z.string().nullable(),
  ended_reason: z.string().nullable(),
  devices: z.number().int().describe('Devices that it holds, or would hold if it were in force.'),
  waiting: z
    .number()
    .int()
    .describe('Pending updates of these devices while it is in force: they wait, and do not fail.'),
};

export const holdSchema = z.object(hold).openapi('Hold');
export type Hold = z.infer<typeof holdSchema>;

export const holdDetailSchema = z
  .object({ ...hold, reached_by: reached_by.describe('What its end would send, by the rollout that sends it.') })
  .openapi('HoldDetail');
export type HoldDetail = z.infer<typeof holdDetailSchema>;

export const holdPreviewSchema = z
  .object({
    devices: z.number().int().describe('Devices that the hold would hold.'),
    already_held: z.number().int().describe('Those of them that another hold holds already.'),
    waiting: z.number().int().describe('Pending updates that would wait.'),
    under_way: z.number().int().describe('Updates whose command was sent: they go on and are evaluated as usual.'),
    rollouts: z.number().int().describe('Active rollouts that would send nothing to these devices.'),
  })
  .openapi('HoldPreview');
export type HoldPreview = z.infer<typeof holdPreviewSchema>;

export const newHoldSchema = z
  .strictObject({
    scope: z.enum(HOLD_SCOPES),
    device_id: deviceId.optional().describe('Of the scope `device`.'),
    group_name: label(64).optional().describe('Of the scope `group`.'),
    reason: reasonBody.shape.reason,
    starts_at: timestamp
      .optional()
      .describe('A time to come, at which the hold begins. Without it the hold begins now.'),
    ends_at: timestamp.optional().describe('A time to come, after `starts_at`.'),
  })
  .openapi('NewHold');
export type NewHold = z.input<typeof newHoldSchema>;

const params = z.object({
  hold: z
    .string()
    .regex(/^\d{1,18}$/, 'expected the id of a hold')
    .describe('Id of the hold.'),
});

export const listHolds = createRoute({
  method: 'get',
  path: '/v1/holds',
  tags: ['Holds'],
  summary: 'Holds, the newest first: a held device is sent no command',
  request: {
    query: z.strictObject({
      state: z.enum(HOLD_FILTERS).default('not_ended').describe('`planned`: those whose start time has not come.'),
      ...pageQuery,
    }),
  },
  responses: { 200: answer('A page', pageOf('HoldPage', holdSchema)), ...refusals() },
});

export const previewHold = createRoute({
  method: 'get',
  path: '/v1/holds/preview',
  tags: ['Holds'],
  summary: 'The effect of a hold, in numbers',
  request: {
    query: z.strictObject({
      device_id: deviceId.optional(),
      group_name: label(64).optional().describe('Without a device or a group: the whole service.'),
    }),
  },
  responses: { 200: answer('The effect', holdPreviewSchema), ...refusals(404) },
});

export const setHold = createRoute({
  method: 'post',
  path: '/v1/holds',
  tags: ['Holds'],
  summary: 'Hold a device, a group or the whole service: it is sent no command until the hold has ended',
  request: { body: jsonBody(newHoldSchema) },
  responses: {
    200: answer('The same hold, which was set before', holdSchema),
    201: answer('The new hold', holdSchema),
    ...refusals(404, 409),
  },
});

export const getHold = createRoute({
  method: 'get',
  path: '/v1/holds/{hold}',
  tags: ['Holds'],
  summary: 'One hold, with what its end would send',
  request: { params },
  responses: { 200: answer('The hold', holdDetailSchema), ...refusals(404) },
});

export const removeHold = createRoute({
  method: 'post',
  path: '/v1/holds/{hold}/remove',
  tags: ['Holds'],
  summary: 'Remove a hold: what waits for it is sent',
  request: { params, body: jsonBody(reasonBody) },
  responses: { 200: answer('The hold, with what its end lets be sent', holdDetailSchema), ...refusals(404, 409) },
});
