import { z } from '@hono/zod-openapi';
import {
  APPROVABLE_ACTIONS,
  coveredNames,
  HEALTH_STATES,
  limitPer,
  ROLLOUT_EVENTS,
  ROLLOUT_STATES,
  type RolloutAction,
  type RolloutEventName,
  sendWindow,
  stagesSchema,
  steppingStonesSchema,
  TARGET_TYPES,
  targetFilter,
  UPDATE_STATES,
} from '../core/policy/index.ts';
import { CAUSES } from '../core/protocol/index.ts';
import { answer, label, model, name, reasonBody, timestamp } from './common.ts';
import { releaseHealthSchema, warning } from './releases.ts';

const minutes = (max: number) => z.number().int().min(1).max(max);
/** Long enough for `<device> to <version> (n)`. */
export const MAX_NAME = 160;
const rolloutName = label(MAX_NAME).regex(/\D/, 'a name must not be only digits, because it would look like an id');

/** Settings that may be changed while a rollout runs. */
const changeable = {
  failure_threshold: z
    .number()
    .min(0)
    .max(1)
    .default(0.1)
    .describe('Share of failures that halts the rollout when exceeded.'),
  failure_count: z
    .number()
    .int()
    .min(1)
    .nullable()
    .default(null)
    .describe('Number of failures that halts the rollout, whatever their share.'),
  max_restart_ratio: z
    .number()
    .min(1)
    .max(1000)
    .nullable()
    .default(2)
    .describe(
      'How many times as often as before devices on the new version may restart; more, with confidence, halts the rollout. null: restarts do not halt it.',
    ),
  min_reports: z.number().int().min(1).default(5).describe('Minimum results before the threshold applies.'),
  max_in_flight: z.number().int().min(1).nullable().default(null),
  max_in_flight_per: limitPer
    .nullable()
    .default(null)
    .describe(
      'Of the devices with the same value of this attribute, the rollout sends to one only while fewer than `max` have an update in flight, those of every rollout counted: a site behind one modem. Devices without the attribute are not limited. null: no such limit.',
    ),
  max_per_minute: z.number().int().min(1).nullable().default(null),
  send_window: sendWindow.nullable().default(null).describe('When the rollout may send; null: always.'),
  keep_open: z.boolean().default(false).describe('The rollout takes in devices that join later and never completes.'),
};

export const rolloutDraft = z
  .strictObject({
    name: rolloutName,
    firmware_version: name,
    device_model: model,
    target_type: z.enum(TARGET_TYPES).default('all'),
    target_filter: targetFilter.default({}),
    rollout_percentage: z.number().int().min(1).max(100).default(100),
    is_active: z.boolean().default(true).describe('false creates a draft.'),
    stages: stagesSchema
      .nullable()
      .default(null)
      .describe(
        'null: a slow start with growing waves; []: all devices at once. After the last stage, the remaining devices follow.',
      ),
    first_stage_covers: coveredNames
      .nullable()
      .default(null)
      .describe(
        '`version`, `attributes.<name>` or `facts.<name>`: the first stage that is not of a group takes a device with each value that the targeted devices have of these before other devices. Needs stages. null: its devices are chosen at random.',
      ),
    ...changeable,
    max_attempts: z.number().int().min(1).max(20).default(3),
    attempt_timeout_minutes: minutes(1440).default(15),
    boot_timeout_minutes: minutes(1440).default(15),
    probation_minutes: z.number().int().min(0).max(1440).default(5),
    give_up_days: minutes(365).default(30),
    start_at: timestamp.nullable().default(null),
    after_rollout_id: z
      .number()
      .int()
      .positive()
      .nullable()
      .default(null)
      .describe('A rollout that must complete before this one sends anything; null: none.'),
    end_at: timestamp
      .nullable()
      .default(null)
      .describe(
        'The orchestrator aborts the rollout at this time if it is running or scheduled, otherwise once it is started or resumed; null: it has no end date.',
      ),
    jitter_minutes: z.number().int().min(0).max(1440).default(0),
    priority: z
      .number()
      .int()
      .min(-1000)
      .max(1000)
      .default(0)
      .describe('Of two rollouts the one with the higher priority gets a device.'),
    allow_downgrade: z.boolean().default(false),
    include_unknown: z.boolean().default(false),
    stepping_stones: steppingStonesSchema
      .nullable()
      .default(null)
      .describe(
        'Versions of the releases by which devices below the minimum version of the release reach it. null in a draft: those that the preview proposes. null in a rollout: not decided, because the release is not registered yet. A release that is registered later is never one of them.',
      ),
  })
  .openapi('RolloutDraft');
export type RolloutDraft = z.input<typeof rolloutDraft>;

/** The devices that a rollout targets. */
export type TargetFilter = z.input<typeof targetFilter>;

/** A preview needs no name. */
export const previewDraft = rolloutDraft.partial({ name: true }).openapi('PreviewDraft');
export type PreviewDraft = z.input<typeof previewDraft>;

const { failure_threshold, failure_count, max_restart_ratio, min_reports, max_in_flight, max_per_minute } = changeable;
const { send_window, max_in_flight_per, keep_open } = changeable;
export const rolloutChange = z
  .strictObject({
    failure_threshold: failure_threshold.removeDefault().optional(),
    failure_count: failure_count.removeDefault().optional(),
    max_restart_ratio: max_restart_ratio.removeDefault().optional(),
    min_reports: min_reports.removeDefault().optional(),
    max_in_flight: max_in_flight.removeDefault().optional(),
    max_in_flight_per: max_in_flight_per.removeDefault().optional(),
    max_per_minute: max_per_minute.removeDefault().optional(),
    send_window: send_window.removeDefault().optional(),
    keep_open: keep_open.removeDefault().optional(),
    is_active: z.literal(true).optional().describe('Starts a draft.'),
  })
  .openapi('RolloutChange');
export type RolloutChange = z.infer<typeof rolloutChange>;

const approvalSchema = z
  .object({
    request_id: z.number().int().describe('Names the request in an approval or a rejection.'),
    action: z.enum(APPROVABLE_ACTIONS).describe('What is done once it is approved.'),
    devices: z.number().int().describe('How many devices the action would send to when it was requested.'),
    reason: z.string().nullable(),
    requested_by: z.string(),
    requested_at: timestamp,
    refusal: z.string().nullable().describe('Why the caller cannot approve it, as a phrase; null: the caller can.'),
  })
  .openapi('Approval');
export type Approval = z.infer<typeof approvalSchema>;

// Does not extend the draft, whose schema allows no further fields.
export const rolloutSchema = z
  .object({
    ...rolloutDraft.shape,
    rollout_id: z.number().int(),
    state: z.enum(ROLLOUT_STATES),
    paused_reason: z.string().nullable(),
    paused_by: z.string().nullable().describe('Who paused it; `orchestrator` if it halted automatically.'),
    paused_at: timestamp.nullable(),
    created_at: timestamp,
    created_by: z.string().nullable(),
    updated_at: timestamp,
    completed_at: timestamp.nullable(),
    aborted_at: timestamp.nullable(),
    stage: z.number().int().nullable().describe('Counted from 0; null before the first.'),
    waiting_for: z
      .string()
      .nullable()
      .describe('What an active rollout, or one that a second person must approve, is waiting for, as a phrase.'),
    requested_action: z
      .enum(APPROVABLE_ACTIONS)
      .nullable()
      .describe('What waits for the approval of a second person; null: nothing.'),
    approval: approvalSchema.nullable().describe('The request that waits for a second person.'),
    needs_approval: z
      .array(z.enum(APPROVABLE_ACTIONS))
      .describe(
        'The actions, of those that its state allows, that are only requested, and done once a second person has approved them. Any change of the rollout voids the request.',
      ),
    resume_devices: z
      .number()
      .int()
      .nullable()
      .describe(
        'Of a halted or paused rollout: the most devices that a resumption sends to before the gates decide again. Else null.',
      ),
    devices: z.number().int().describe('Devices assigned so far: the sum of the next five fields.'),
    pending: z.number().int(),
    in_progress: z.number().int(),
    succeeded: z.number().int(),
    failed: z.number().int().describe('Failed, rolled back or timed out.'),
    canceled: z.number().int(),
  })
  .openapi('Rollout');
export type Rollout = z.infer<typeof rolloutSchema>;

const etag = { etag: { schema: { type: 'string' as const }, description: 'For `If-Match`.' } };

/** An answer with a rollout, and the `ETag` that a change of it sends back. */
export const rolloutAnswer = (description: string) => ({ ...answer(description, rolloutSchema), headers: etag });

export const rolloutSummarySchema = rolloutSchema
  .pick({
    rollout_id: true,
    name: true,
    firmware_version: true,
    device_model: true,
    state: true,
    paused_reason: true,
    paused_by: true,
    created_at: true,
    updated_at: true,
    start_at: true,
    after_rollout_id: true,
    end_at: true,
    stage: true,
    requested_action: true,
    devices: true,
    pending: true,
    in_progress: true,
    succeeded: true,
    failed: true,
    canceled: true,
  })
  .openapi('RolloutSummary');
export type RolloutSummary = z.infer<typeof rolloutSummarySchema>;

export const previewSchema = z
  .object({
    matching: z.number().int().describe('Devices that match the filter.'),
    excluded: z.number().int().describe('Devices that match the filter apart from its `except`.'),
    targeted: z.number().int().describe('Matching devices that `rollout_percentage` includes.'),
    will_be_updated: z
      .number()
      .int()
      .describe('Devices that would be updated now; for a draft that is not saved, as if the percentage were 100.'),
    via_stepping_stone: z.number().int().describe('Devices of `will_be_updated` that get a stepping stone first.'),
    set_apart: z
      .number()
      .int()
      .describe(
        'Devices of `will_be_updated` that failed in their last rollout, which others finished: they are sampled last and do not count in the gates.',
      ),
    stepping_stones: z
      .array(z.object({ version: z.string(), devices: z.number().int().describe('Devices that get it next.') }))
      .describe('The stepping stones of the rollout, the highest first: decided, or proposed for a draft.'),
    stages: z
      .array(
        z.object({
          devices: z.number().int().describe('Devices that this stage adds.'),
          will_be_updated: z
            .number()
            .int()
            .nullable()
            .describe(
              'Those of them that would be updated now; null for a draft that is not saved, because its stages are not drawn yet.',
            ),
        }),
      )
      .describe('The stages of the plan, the present one with those before it; a slow start is one stage.'),
    first_stage_covers: z
      .array(
        z.object({
          name: z.string(),
          values: z.number().int().describe('Values of the targeted devices; no value counts as one.'),
          covered: z.number().int().describe('Those that the first stage covers.'),
          left_out: z
            .array(
              z.object({
                value: z.string().nullable().describe('null: devices that have no value.'),
                devices: z.number().int(),
                is_reachable: z
                  .boolean()
                  .describe('false: none of them can be updated now and was heard of in the last 24 hours.'),
              }),
            )
            .describe('Values that it leaves out, those of most devices first; at most 5.'),
        }),
      )
      .describe('How the first stage covers the values of each name of `first_stage_covers` of the rollout.'),
    warnings: z
      .array(warning)
      .describe('Warnings about the image of the release, and rollouts in which it failed before (`FAILED_BEFORE`).'),
    will_not: z.array(z.object({ reason: z.string(), devices: z.number().int() })),
    held_by_others: z
      .array(z.object({ rollout: z.string(), status: z.enum(['pending', 'under way']), devices: z.number().int() }))
      .describe(
        'Devices that would be updated but are assigned to another rollout. `pending`: this rollout takes them over. `under way`: it waits for them.',
      ),
    held: z
      .array(z.object({ reason: z.string(), devices: z.number().int() }))
      .describe('Devices of `will_be_updated` that wait for the end of a hold, by the hold.'),
  })
  .openapi('Preview');
export type Preview = z.infer<typeof previewSchema>;

export const progressSchema = z
  .object({
    funnel: z
      .object({
        assigned: z.number().int(),
        sent: z.number().int().describe('A command was sent.'),
        answered: z.number().int().describe('The device opened its link or reported.'),
        installed: z.number().int().describe('The image was written.'),
        booted: z.number().int().describe('A status named the new version.'),
        succeeded: z.number().int().describe('A status named it after the probation.'),
      })
      .describe('How far the updates to the release came, in any attempt. Each number includes those after it.'),
    stages: z.array(
      z.object({
        stage: z.number().int(),
        size: z
          .number()
          .int()
          .describe(
            'Targeted devices up to and including this stage; for a slow start, devices that may start in this wave.',
          ),
        began_at: timestamp,
        ended_at: timestamp.nullable(),
        states: z
          .partialRecord(z.enum(UPDATE_STATES), z.number().int())
          .describe('An update on probation counts as `installing`.'),
      }),
    ),
    failures: z
      .array(
        z.object({
          status: z.string(),
          cause: z
            .enum(CAUSES)
            .nullable()
            .describe('Only `build` and `silence` count against the release; null: not known.'),
          reason: z.string(),
          devices: z.number().int(),
        }),
      )
      .describe(
        'Failed, rolled back and timed out updates by reason, most frequent first; after 20 reasons, one row for the others of each status and cause.',
      ),
    outcomes: z
      .array(z.object({ at: timestamp, succeeded: z.number().int(), failed: z.number().int() }))
      .describe('Outcomes over time, in at most 200 steps.'),
  })
  .openapi('Progress');
export type Progress = z.infer<typeof progressSchema>;

export const rolloutHealthSchema = releaseHealthSchema
  .extend({
    comparison: z
      .object({
        devices: z.number().int().describe('Devices of the rollout that run its release; of many a sample.'),
        device_hours: z.number().describe('Exposure on the release.'),
        device_hours_before: z.number().describe('Exposure of the same devices before the update.'),
        restarts: z.number().int(),
        restarts_per_device_hour: z.number(),
        restarts_per_device_hour_before: z
          .number()
          .describe("Each device's own rate before, weighted by its time on the release."),
        state: z
          .enum(HEALTH_STATES)
          .describe(
            '`too_little_exposure`: less than one device-hour or three devices. `above_limit`: a running rollout halts.',
          ),
      })
      .describe('What the gate reads: the devices of this rollout, each compared with itself.'),
  })
  .openapi('RolloutHealth');
export type RolloutHealth = z.infer<typeof rolloutHealthSchema>;

export const deviceUpdateSchema = z
  .object({
    update_id: z.number().int(),
    device_id: z.string(),
    rollout_id: z.number().int().nullable(),
    rollout_name: z.string().nullable(),
    firmware_version: z.string(),
    previous_version: z.string().nullable(),
    current_firmware_version: z.string(),
    status: z.enum(UPDATE_STATES),
    is_stepping_stone: z.boolean(),
    stage: z.number().int(),
    attempt: z.number().int(),
    progress_percent: z.number().int().nullable(),
    result_code: z.number().int().nullable(),
    result: z.string().nullable().describe('The name of the result code, such as `install failed (4)`.'),
    reason: z.string().nullable(),
    created_at: timestamp,
    sent_at: timestamp.nullable(),
    reported_at: timestamp.nullable(),
    booted_at: timestamp.nullable(),
    deadline_at: timestamp.nullable(),
    completed_at: timestamp.nullable(),
  })
  .openapi('DeviceUpdate');
export type DeviceUpdate = z.infer<typeof deviceUpdateSchema>;

export const decisionSchema = z
  .object({
    event_id: z.number().int(),
    rollout_id: z.number().int(),
    rollout_name: z.string(),
    firmware_version: z.string(),
    device_model: z.string(),
    at: timestamp,
    event: z
      .string()
      .describe(
        `${ROLLOUT_EVENTS.map((event) => `\`${event}\``).join(', ')}. A halt is automatic, a pause is by a person.`,
      ),
    reason: z.string().nullable(),
    decided_by: z.string().nullable(),
    detail: z.record(z.string(), z.unknown()),
  })
  .openapi('Decision');
export type Decision = z.infer<typeof decisionSchema>;
export type { RolloutEventName };

export const approvalAction = reasonBody.extend({
  request_id: z.number().int().describe('`approval.request_id` of the rollout as it was read.'),
});
export type ApprovalAction = z.infer<typeof approvalAction>;

export type { RolloutAction };
