import { createRoute, z } from '@hono/zod-openapi';
import { answer, attributeChanges, deviceId, jsonBody, label, model, refusals } from './common.ts';

export const reachSchema = z
  .object({
    rollout_id: z.number().int(),
    rollout_name: z.string(),
    firmware_version: z.string(),
    devices: z.number().int().describe('Devices that it sends the version to, at once or in its later stages.'),
  })
  .openapi('Reach');
export type Reach = z.infer<typeof reachSchema>;

export const reached_by = z
  .array(reachSchema)
  .describe(
    'The rollouts that may send because of the change, with the devices that it newly reaches: those that nothing but this keeps from an update now.',
  );

export const deviceChangeSchema = z
  .strictObject({
    device_ids: z.array(deviceId).min(1).max(5000),
    join_groups: z.array(label(64)).max(100).optional(),
    leave_groups: z.array(label(64)).max(100).optional(),
    metadata: attributeChanges.optional().describe('Attributes to set; null removes one.'),
    accept_identity: z.literal(true).optional().describe('The model and MAC address that they report are accepted.'),
    device_model: model.optional().describe('The model that is stated with `accept_identity`.'),
    reinstate: z.literal(true).optional().describe('The revocation of their identity ends.'),
  })
  .openapi('DeviceChange');
export type DeviceChange = z.input<typeof deviceChangeSchema>;

export const previewChange = createRoute({
  method: 'post',
  path: '/v1/devices/preview-change',
  tags: ['Devices'],
  summary: 'Preview which rollouts would newly reach devices if these were changed; nothing is changed',
  request: { body: jsonBody(deviceChangeSchema) },
  responses: {
    200: answer('The rollouts', z.object({ reached_by }).openapi('ReachedBy')),
    ...refusals(),
  },
});
