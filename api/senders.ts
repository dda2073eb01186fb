import { z } from '@hono/zod-openapi';
import { ROLLOUT_STATES } from '../core/policy/index.ts';

export const senderSchema = z
  .object({
    rollout_id: z.number().int(),
    rollout_name: z.string(),
    firmware_version: z.string(),
    state: z.enum(ROLLOUT_STATES),
    devices: z.number().int().describe('Devices that it sent the version to.'),
  })
  .openapi('Sender');
export type Sender = z.infer<typeof senderSchema>;

export const senders = z
  .array(senderSchema)
  .describe(
    'The newest rollouts that sent such a release to devices, at most 20. The recovery of each sends the devices that run it back to the version before, once the rollout is stopped or has ended.',
  );
