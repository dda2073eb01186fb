import { createRoute, z } from '@hono/zod-openapi';
import { ROLLOUT_STATES } from '../core/policy/index.ts';
import { answer, jsonBody, reasonBody, refusals } from './common.ts';
import { params } from './rollout-routes.ts';
import { rolloutSchema } from './rollouts.ts';

const plan = {
  rollout_id: z.number().int().describe('The rollout whose devices are sent back.'),
  state: z.enum(ROLLOUT_STATES).describe('Its state; a recovery needs one in which it sends nothing.'),
  firmware_version: z.string().describe('The version that the devices are to leave.'),
  cannot: z
    .array(
      z.object({
        reason: z.string(),
        devices: z.number().int(),
        device_ids: z.array(z.string()).describe('At most 50 of them, in the order of their ids.'),
      }),
    )
    .describe('Devices that run the version, or may run it, and cannot be sent back, by reason.'),
  under_way: z
    .number()
    .int()
    .describe('Devices that are still downloading or booting the version. They are sent back once they run it.'),
  recoveries: z
    .array(
      rolloutSchema.pick({
        rollout_id: true,
        name: true,
        firmware_version: true,
        state: true,
        devices: true,
        pending: true,
        in_progress: true,
        succeeded: true,
        failed: true,
        canceled: true,
      }),
    )
    .describe('The rollouts that send devices back, with their outcomes, newest first.'),
};

export const recoveryPreviewSchema = z
  .object({
    ...plan,
    can_recover: z
      .boolean()
      .describe(
        'True if the state of the rollout allows a recovery. Where a second person must approve rollouts, a recovery is not recovered.',
      ),
    devices: z.number().int().describe('Devices that a recovery would send back now: the sum of `by_version`.'),
    held: z.number().int().describe('Those of them that are held: they are sent back once the hold has ended.'),
    by_version: z
      .array(
        z.object({
          firmware_version: z.string().describe('The version that they ran before, and would get.'),
          devices: z.number().int(),
          may_run: z
            .number()
            .int()
            .describe(
              'Those among them that went silent in the update: whether they run the version shows when they report.',
            ),
        }),
      )
      .describe('Devices by the version that they would get. Those that a recovery has assigned are not included.'),
  })
  .openapi('RecoveryPreview');
export type RecoveryPreview = z.infer<typeof recoveryPreviewSchema>;

export const recoverySchema = z
  .object({
    ...plan,
    devices: z.number().int().describe('Devices that were assigned by this call; 0 for a repeated call.'),
  })
  .openapi('Recovery');
export type Recovery = z.infer<typeof recoverySchema>;

export const previewRecovery = createRoute({
  method: 'get',
  path: '/v1/rollouts/{rollout}/recovery',
  tags: ['Rollouts'],
  summary: 'Preview how many devices a recovery would send back, to which versions, and which it cannot',
  request: { params },
  responses: { 200: answer('Counts, and the recoveries that exist', recoveryPreviewSchema), ...refusals(404) },
});

export const recoverRollout = createRoute({
  method: 'post',
  path: '/v1/rollouts/{rollout}/recover',
  tags: ['Rollouts'],
  summary:
    'Send the devices that run the version of a stopped or ended rollout back to the version before; can be repeated',
  request: { params, body: jsonBody(reasonBody) },
  responses: {
    200: answer('What was done, and what could not be done', recoverySchema),
    ...refusals(404, 409),
  },
});
