import { createRoute, z } from '@hono/zod-openapi';
import { ISSUE_STATES, targetFilter } from '../core/policy/index.ts';
import { answer, jsonBody, label, model, name, pageOf, pageQuery, reasonBody, refusals, timestamp } from './common.ts';
import { reached_by } from './reach.ts';
import { warning } from './releases.ts';
import { senders } from './senders.ts';

export const issueSchema = z
  .object({
    issue_id: z.number().int(),
    device_model: z.string(),
    found_version: z
      .string()
      .describe('The release in which it was found. It applies to this one and to every higher version.'),
    title: z.string(),
    link: z.string().nullable(),
    filter: z
      .record(z.string(), z.unknown())
      .describe('The devices that it concerns, in the form of `target_filter`; empty: every device of the model.'),
    state: z
      .enum(ISSUE_STATES)
      .describe('`fixed`: it applies to the releases below `fixed_version` only; `withdrawn`: to none.'),
    created_at: timestamp,
    created_by: z.string().nullable().describe('The IAM identity that added it; null: SQL.'),
    fixed_version: z.string().nullable().describe('The release that fixes it; null: none is known.'),
    fixed_at: timestamp.nullable(),
    fixed_by: z.string().nullable(),
    withdrawn_at: timestamp.nullable(),
    withdrawn_by: z.string().nullable(),
    withdrawn_reason: z.string().nullable(),
  })
  .openapi('KnownIssue');
export type KnownIssue = z.infer<typeof issueSchema>;

const effect = {
  devices: z.number().int().describe('Devices that it concerns: they are not sent a release with the issue.'),
  running: z.number().int().describe('Those of them that run such a release already, and keep it.'),
  pending: z.number().int().describe('Those of them with a pending update to such a release: it is not sent.'),
  recoverable: senders,
};

export const issuePreviewSchema = z.object({ ...effect, warnings: z.array(warning) }).openapi('KnownIssuePreview');
export type IssuePreview = z.infer<typeof issuePreviewSchema>;

export const issueDetailSchema = z
  .object({
    ...issueSchema.shape,
    ...effect,
    reached_by: reached_by.describe('What its end would send, by the rollout that sends it.'),
  })
  .openapi('KnownIssueDetail');
export type IssueDetail = z.infer<typeof issueDetailSchema>;

export const newIssueSchema = z
  .strictObject({
    device_model: model,
    found_version: name.describe('A registered release of the model.'),
    title: label(200),
    link: z
      .url({ protocol: /^https?$/ })
      .max(500)
      .optional()
      .describe('Where more about it is written.'),
    filter: targetFilter
      .omit({ recovers: true })
      .default({})
      .describe('As the `target_filter` of a rollout, at most 4 KiB; put more devices into a group.'),
  })
  .openapi('NewKnownIssue');
export type NewIssue = z.input<typeof newIssueSchema>;

const params = z.object({
  issue: z
    .string()
    .regex(/^\d{1,18}$/, 'expected the id of a known issue')
    .describe('Id of the known issue.'),
});

export const listIssues = createRoute({
  method: 'get',
  path: '/v1/issues',
  tags: ['Known issues'],
  summary: 'Known issues, the newest first: devices that an issue concerns are not sent the releases that have it',
  request: {
    query: z.strictObject({
      model: model.optional(),
      version: name.optional().describe('Only issues that apply to this release; needs `model`.'),
      state: z.enum(ISSUE_STATES).optional(),
      ...pageQuery,
    }),
  },
  responses: { 200: answer('A page', pageOf('KnownIssuePage', issueSchema)), ...refusals() },
});

export const previewIssue = createRoute({
  method: 'post',
  path: '/v1/issues/preview',
  tags: ['Known issues'],
  summary: 'The effect of a known issue that is not added yet, in numbers',
  request: { body: jsonBody(newIssueSchema) },
  responses: { 200: answer('The effect', issuePreviewSchema), ...refusals(404) },
});

export const addIssue = createRoute({
  method: 'post',
  path: '/v1/issues',
  tags: ['Known issues'],
  summary: 'Add a known issue to a release: the devices that it concerns are sent no release that has it',
  request: { body: jsonBody(newIssueSchema) },
  responses: {
    200: answer('The same issue, which is known already', issueDetailSchema),
    201: answer('The new issue', issueDetailSchema),
    ...refusals(404, 409),
  },
});

export const getIssue = createRoute({
  method: 'get',
  path: '/v1/issues/{issue}',
  tags: ['Known issues'],
  summary: 'One known issue, with the devices that it concerns and what its end would send',
  request: {
    params,
    query: z.strictObject({
      fixed_in: name
        .optional()
        .describe('`reached_by` is what is sent if this release fixes it; without it, if the issue is withdrawn.'),
    }),
  },
  responses: { 200: answer('The issue', issueDetailSchema), ...refusals(404) },
});

export const fixIssue = createRoute({
  method: 'post',
  path: '/v1/issues/{issue}/fix',
  tags: ['Known issues'],
  summary: 'State the release that fixes a known issue: it and every higher version are sent to the devices again',
  request: {
    params,
    body: jsonBody(
      z.strictObject({ version: name.describe('A registered release of the model, higher than `found_version`.') }),
    ),
  },
  responses: { 200: answer('The issue, with what is sent because of it', issueDetailSchema), ...refusals(404, 409) },
});

export const withdrawIssue = createRoute({
  method: 'post',
  path: '/v1/issues/{issue}/withdraw',
  tags: ['Known issues'],
  summary: 'Withdraw a known issue, which was none: it keeps no device from any release',
  request: { params, body: jsonBody(reasonBody) },
  responses: { 200: answer('The issue, with what is sent because of it', issueDetailSchema), ...refusals(404, 409) },
});
