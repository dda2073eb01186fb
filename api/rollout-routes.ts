import { createRoute, z } from '@hono/zod-openapi';
import { ROLLOUT_ACTIONS, ROLLOUT_STATES, type RolloutAction, UPDATE_STATES } from '../core/policy/index.ts';
import { answer, flag, jsonBody, model, name, pageOf, pageQuery, reasonBody, refusals } from './common.ts';
import {
  approvalAction,
  decisionSchema,
  deviceUpdateSchema,
  MAX_NAME,
  previewDraft,
  previewSchema,
  progressSchema,
  rolloutAnswer,
  rolloutChange,
  rolloutDraft,
  rolloutHealthSchema,
  rolloutSummarySchema,
} from './rollouts.ts';

export const params = z.object({
  rollout: z
    .string()
    .regex(/^\d{1,18}$/, 'expected the id of a rollout; GET /v1/rollouts?name= finds it by its name')
    .describe('Id of the rollout.'),
});

export const previewRollout = createRoute({
  method: 'post',
  path: '/v1/rollouts/preview',
  tags: ['Rollouts'],
  summary: 'Preview which devices would be updated, and why others would not',
  request: { body: jsonBody(previewDraft) },
  responses: { 200: answer('Counts', previewSchema), ...refusals() },
});

export const previewSavedRollout = createRoute({
  method: 'get',
  path: '/v1/rollouts/{rollout}/preview',
  tags: ['Rollouts'],
  summary: 'Preview which devices a saved rollout would update now, by stage, and why it would not update others',
  request: { params },
  responses: { 200: answer('Counts', previewSchema), ...refusals(404, 409) },
});

export const createRollout = createRoute({
  method: 'post',
  path: '/v1/rollouts',
  tags: ['Rollouts'],
  summary: 'Create a rollout; a repeated call returns the existing one',
  request: { body: jsonBody(rolloutDraft) },
  responses: {
    200: rolloutAnswer('The existing rollout, with the same values'),
    201: rolloutAnswer('The new rollout'),
    ...refusals(409),
  },
});

export const listRollouts = createRoute({
  method: 'get',
  path: '/v1/rollouts',
  tags: ['Rollouts'],
  summary: 'Rollouts, newest first',
  request: {
    query: z.strictObject({
      state: z.enum(ROLLOUT_STATES).optional(),
      model: model.optional(),
      name: z.string().min(1).max(MAX_NAME).optional().describe('The rollout of exactly this name.'),
      version: name.optional().describe('Rollouts of this version, or with it as a stepping stone.'),
      ...pageQuery,
    }),
  },
  responses: { 200: answer('A page', pageOf('RolloutPage', rolloutSummarySchema)), ...refusals() },
});

export const getRollout = createRoute({
  method: 'get',
  path: '/v1/rollouts/{rollout}',
  tags: ['Rollouts'],
  summary: 'One rollout',
  request: { params },
  responses: { 200: rolloutAnswer('The rollout'), ...refusals(404) },
});

export const changeRollout = createRoute({
  method: 'patch',
  path: '/v1/rollouts/{rollout}',
  tags: ['Rollouts'],
  summary: 'Change settings of a running rollout, or start a draft',
  request: { params, headers: z.object({ 'if-match': z.string() }), body: jsonBody(rolloutChange) },
  responses: {
    200: rolloutAnswer('The changed rollout'),
    ...refusals(404, 409, 412),
  },
});

export const replaceDraft = createRoute({
  method: 'put',
  path: '/v1/rollouts/{rollout}',
  tags: ['Rollouts'],
  summary: 'Replace a draft, which keeps its id',
  description:
    'The body is the whole draft, with `is_active` false; a field that it leaves out gets its default. Stepping stones that it leaves out are decided again. Any request for approval ends.',
  request: { params, headers: z.object({ 'if-match': z.string() }), body: jsonBody(rolloutDraft) },
  responses: {
    200: rolloutAnswer('The replaced draft'),
    ...refusals(404, 409, 412),
  },
});

const ACTIONS: Record<RolloutAction, string> = {
  pause: 'Pause a rollout; updates that were not fetched yet are canceled',
  resume: 'Resume a halted or paused rollout; earlier failures are ignored, and the next stage may start at once',
  abort: 'Stop a rollout for good',
  advance: 'Start the next stage now, skipping the gate',
  retry: 'Retry the devices that failed',
};

export const rolloutActions = ROLLOUT_ACTIONS.map(
  (action) =>
    [
      action,
      createRoute({
        method: 'post',
        path: `/v1/rollouts/{rollout}/${action}`,
        tags: ['Rollouts'],
        summary: ACTIONS[action],
        request: { params, body: jsonBody(reasonBody) },
        responses: { 200: rolloutAnswer('The changed rollout'), ...refusals(404, 409) },
      }),
    ] as const,
);

export const approveRequest = createRoute({
  method: 'post',
  path: '/v1/rollouts/{rollout}/approve',
  tags: ['Rollouts'],
  summary: 'Approve and do what another person requested: a start, a resumption, a retry or the next stage',
  request: { params, body: jsonBody(approvalAction) },
  responses: { 200: rolloutAnswer('The changed rollout'), ...refusals(404, 409) },
});

export const rejectRequest = createRoute({
  method: 'post',
  path: '/v1/rollouts/{rollout}/reject',
  tags: ['Rollouts'],
  summary: 'Reject what another person requested, or take back your own request',
  request: { params, body: jsonBody(approvalAction) },
  responses: { 200: rolloutAnswer('The rollout'), ...refusals(404, 409) },
});

export const rolloutProgress = createRoute({
  method: 'get',
  path: '/v1/rollouts/{rollout}/progress',
  tags: ['Rollouts'],
  summary: 'Progress by stage, state and reason, and outcomes over time',
  request: { params },
  responses: { 200: answer('The progress', progressSchema), ...refusals(404) },
});

export const rolloutHealth = createRoute({
  method: 'get',
  path: '/v1/rollouts/{rollout}/health',
  tags: ['Rollouts'],
  summary: 'Release health: restarts and silence, beside the version before',
  request: { params },
  responses: { 200: answer('The health', rolloutHealthSchema), ...refusals(404) },
});

export const rolloutUpdates = createRoute({
  method: 'get',
  path: '/v1/rollouts/{rollout}/updates',
  tags: ['Rollouts'],
  summary: 'Device updates of a rollout, newest first',
  request: {
    params,
    query: z.strictObject({ status: z.enum(UPDATE_STATES).optional(), open: flag.optional(), ...pageQuery }),
  },
  responses: { 200: answer('A page', pageOf('DeviceUpdatePage', deviceUpdateSchema)), ...refusals(404) },
});

export const rolloutDecisions = createRoute({
  method: 'get',
  path: '/v1/rollouts/{rollout}/decisions',
  tags: ['Rollouts'],
  summary: 'The newest 500 decisions about a rollout: what, when, why, who decided, and the numbers at that moment',
  request: { params },
  responses: {
    200: answer('Decisions, oldest first', z.object({ items: z.array(decisionSchema) })),
    ...refusals(404),
  },
});
