import { createRoute, z } from '@hono/zod-openapi';
import { UPDATE_STATES } from '../core/policy/index.ts';
import { CONNECTION_STATES, PRESENCE_STATES } from '../core/protocol/index.ts';
import {
  answer,
  attributeChanges,
  deviceId,
  flag,
  jsonBody,
  label,
  model,
  name,
  pageOf,
  pageQuery,
  reasonBody,
  refusals,
  timestamp,
} from './common.ts';
import { holdInForceSchema } from './holds.ts';
import { reached_by } from './reach.ts';
import { rolloutAnswer } from './rollouts.ts';

const metadata = z.record(z.string().min(1).max(64), z.union([z.string().max(256), z.number(), z.boolean()]));

export const presenceSchema = z
  .object({
    state: z
      .enum(PRESENCE_STATES)
      .describe(
        'Online: heard within three of its usual reports, at least two minutes. Presumed offline: silent for longer. Said offline: its last will came.',
      ),
    since: timestamp
      .nullable()
      .describe('Its newest message, the end of its patience, or its last will; null if it was never heard.'),
    usual_seconds: z.number().nullable().describe('Its usual time between two statuses; null before the second one.'),
    text: z.string().describe('The evidence, such as `last heard 7 min ago, usually every 30 s`.'),
  })
  .openapi('Presence');
export type Presence = z.infer<typeof presenceSchema>;

export const connectionSchema = z
  .object({
    state: z
      .enum(CONNECTION_STATES)
      .describe('What AWS IoT says. Not known: not connected in the last 30 minutes. Not asked: it gave no answer.'),
    since: timestamp.nullable(),
    reason: z.string().nullable().describe('Why it was disconnected, such as `CONNECTION_LOST`.'),
    topics: z
      .array(z.string())
      .nullable()
      .describe('The topic filters that it is subscribed to; null if it is not connected, or AWS IoT did not say.'),
    text: z.string().describe('The same in words.'),
  })
  .openapi('Connection');
export type Connection = z.infer<typeof connectionSchema>;

export const refusalsSchema = z
  .object({
    times: z.number().int(),
    first_at: timestamp,
    last_at: timestamp,
    text: z
      .string()
      .describe('Such as `disconnected by its policy 3 times in 2 min, …; its policy allows: …`, with the topics.'),
  })
  .openapi('Refusals');
export type Refusals = z.infer<typeof refusalsSchema>;

const contact = {
  connection: connectionSchema.nullable().describe('Null in the answer to a change, for which AWS IoT is not asked.'),
  refusals: refusalsSchema
    .nullable()
    .describe('Disconnections by the policy of the device in the last day that followed each other; null: none.'),
};

export const deviceSchema = z
  .object({
    device_id: z.string(),
    mac_address: z
      .string()
      .nullable()
      .describe(
        'That of its entry in the list of allowed devices, or the first that it reported, or the last accepted.',
      ),
    device_model: z
      .string()
      .describe(
        'That of its entry in the list of allowed devices, or the first that it reported, or the last accepted.',
      ),
    model_is_assumed: z
      .boolean()
      .describe(
        'Whether its model was never stated, so that `esp32-s3` is assumed. Only rollouts that name it by its id target it.',
      ),
    reported_model: z.string().nullable().describe('The model that it reports now, if that differs.'),
    reported_mac: z.string().nullable().describe('The MAC address that it reports now, if that differs.'),
    identity_changed_at: timestamp
      .nullable()
      .describe('Since when it reports another model or MAC address. No rollout targets it until that is accepted.'),
    current_firmware_version: z.string(),
    online: z.boolean().describe('True if the state of `presence` is `online`.'),
    presence: presenceSchema,
    last_seen: timestamp.nullable(),
    registered_at: timestamp,
    signal_strength_dbm: z.number().int().nullable(),
    uptime_seconds: z.number().int().nullable(),
    groups: z.array(z.string()),
    metadata: metadata.describe('Attributes that operators set.'),
    revoked_at: timestamp.nullable().describe('When its identity was revoked; null if it was not.'),
    revoked_reason: z.string().nullable(),
    revoked_by: z.string().nullable().describe('The IAM identity that revoked it.'),
    update: z
      .object({
        rollout_name: z.string().nullable().describe('Null for an update that the device started by itself.'),
        firmware_version: z.string(),
        status: z.enum(UPDATE_STATES),
        is_open: z.boolean(),
        progress_percent: z.number().int().nullable(),
        reason: z.string().nullable(),
        booted_at: timestamp.nullable().describe('When it reported the new version; null until then.'),
        deadline_at: timestamp.nullable().describe('When an open update times out without further reports.'),
      })
      .nullable()
      .describe('The newest device update.'),
  })
  .openapi('Device');
export type Device = z.infer<typeof deviceSchema>;

export const deviceDetailSchema = deviceSchema
  .extend({
    client_id: z.string().nullable(),
    identity_change: z
      .string()
      .nullable()
      .describe('What it reports instead of its model and MAC address, as a phrase; null if it reports those.'),
    holds: z
      .array(holdInForceSchema)
      .describe('The holds in force that hold it, the widest first: it is sent no command until they have ended.'),
    mac_shared_with: z.array(z.string()).describe('Other devices with the same MAC address; at most five.'),
    command_family: z.enum(['devices', 'edge']).nullable(),
    facts: z
      .record(
        z.string(),
        z.object({
          value: z.union([z.string(), z.number(), z.boolean()]),
          stated_at: timestamp.nullable().describe('Receive time of the newest status that stated it.'),
        }),
      )
      .describe('What the device states about itself, such as `slot_bytes`, `chip_revision` or `battery_percent`.'),
    last_status: z
      .record(z.string(), z.unknown())
      .describe('The fields of the last status that could be read, as the device sent them.'),
    status_fault: z
      .string()
      .nullable()
      .describe('What could not be read of the last status, and at which character; null if it was read whole.'),
    rejected_message: z
      .object({
        topic: z.string(),
        reason: z.string(),
        beginning: z.string().describe('The readable beginning of the payload.'),
        received_at: timestamp,
      })
      .nullable()
      .describe('The newest message on a topic of the device that was rejected.'),
    ...contact,
  })
  .openapi('DeviceDetail');
export type DeviceDetail = z.infer<typeof deviceDetailSchema>;

export const changedDeviceSchema = deviceDetailSchema.extend({ reached_by }).openapi('ChangedDevice');
export type ChangedDevice = z.infer<typeof changedDeviceSchema>;

export const timelineEntrySchema = z
  .object({
    at: timestamp,
    event: z
      .string()
      .describe('`assigned`, `sent`, `accepted`, `progress`, `fetch`, `result`, `status`, `ended`, `model_changed`, …'),
    rollout_id: z.number().int().nullable(),
    update_id: z.number().int().nullable(),
    attempt: z.number().int().nullable(),
    firmware_version: z.string().nullable(),
    detail: z
      .record(z.string(), z.unknown())
      .describe('What else is known, by event; `result` is the name of a result code, such as `install failed (4)`.'),
  })
  .openapi('TimelineEntry');
export type TimelineEntry = z.infer<typeof timelineEntrySchema>;

export const explanationSchema = z
  .object({
    device_id: z.string(),
    presence: presenceSchema,
    ...contact,
    rollout_id: z.number().int(),
    rollout_name: z.string(),
    firmware_version: z.string(),
    rule: z.string().describe('The rule that applies, as a phrase about the device.'),
    since: timestamp.nullable(),
    next: z.string().describe('What happens next, and when.'),
  })
  .openapi('Explanation');
export type Explanation = z.infer<typeof explanationSchema>;

const groupName = label(64);

export const groupSchema = z.object({ group_name: z.string(), devices: z.number().int() }).openapi('Group');
export type Group = z.infer<typeof groupSchema>;

export const changedGroupSchema = groupSchema.extend({ reached_by }).openapi('ChangedGroup');
export type ChangedGroup = z.infer<typeof changedGroupSchema>;

const params = z.object({ device_id: deviceId });

const condition = z.string().max(400);

export const devicesQuery = z.strictObject({
  search: z
    .string()
    .trim()
    .max(64)
    .optional()
    .describe('Start of an id, of the part after its last hyphen, or of a MAC address.'),
  model: model.optional(),
  version: name.optional(),
  group: name.optional(),
  attribute: condition
    .optional()
    .describe('An attribute that it has: `site=rome`, `floor=2` or, as text, `floor="2"`.'),
  fact: condition
    .optional()
    .describe('What it states: `board_revision=C`, `battery_percent<=20` or `battery_percent>=80`.'),
  online: flag.optional().describe('Whether it is online, as in `presence`.'),
  updating: flag.optional().describe('Whether it has an open update.'),
  revoked: flag.optional().describe('Whether its identity was revoked.'),
  not_seen_since: timestamp.optional(),
  ...pageQuery,
});

export const listDevices = createRoute({
  method: 'get',
  path: '/v1/devices',
  tags: ['Devices'],
  summary: 'Devices in the order of their ids',
  request: { query: devicesQuery },
  responses: { 200: answer('A page', pageOf('DevicePage', deviceSchema)), ...refusals() },
});

export const getDevice = createRoute({
  method: 'get',
  path: '/v1/devices/{device_id}',
  tags: ['Devices'],
  summary: 'One device',
  request: { params },
  responses: { 200: answer('The device', deviceDetailSchema), ...refusals(404) },
});

export const setAttributes = createRoute({
  method: 'patch',
  path: '/v1/devices/{device_id}',
  tags: ['Devices'],
  summary: 'Set attributes of a device; null removes an attribute',
  request: {
    params,
    body: jsonBody(
      z.strictObject({
        metadata: attributeChanges,
      }),
    ),
  },
  responses: { 200: answer('The changed device, with what the change sends', changedDeviceSchema), ...refusals(404) },
});

export const setGroups = createRoute({
  method: 'put',
  path: '/v1/devices/{device_id}/groups',
  tags: ['Devices'],
  summary: 'Set the groups of a device',
  request: { params, body: jsonBody(z.strictObject({ groups: z.array(groupName).max(100) })) },
  responses: { 200: answer('The changed device, with what the change sends', changedDeviceSchema), ...refusals(404) },
});

export const revocationSchema = z
  .object({
    certificates: z.array(z.string()).describe('Ids of all certificates of the device in AWS IoT; all are revoked.'),
    device: z
      .union([deviceDetailSchema, z.null()])
      .describe('The changed device; null for a device that never reported.'),
  })
  .openapi('Revocation');
export type Revocation = z.infer<typeof revocationSchema>;

export const revokeDevice = createRoute({
  method: 'post',
  path: '/v1/devices/{device_id}/revoke',
  tags: ['Devices'],
  summary: 'Revoke a device for good: its certificates, its connection, its updates',
  request: { params, body: jsonBody(reasonBody) },
  responses: { 200: answer('The revocation', revocationSchema), ...refusals(404) },
});

export const reinstateDevice = createRoute({
  method: 'post',
  path: '/v1/devices/{device_id}/reinstate',
  tags: ['Devices'],
  summary: 'Let a revoked device be updated again; it needs a new certificate',
  request: { params, body: jsonBody(reasonBody) },
  responses: {
    200: answer('The changed device, with what the change sends', changedDeviceSchema),
    ...refusals(404, 409),
  },
});

export const acceptIdentity = createRoute({
  method: 'post',
  path: '/v1/devices/{device_id}/accept-identity',
  tags: ['Devices'],
  summary:
    'Accept the model and MAC address that a device reports, or state its model; rollouts of that model may update it',
  request: {
    params,
    body: jsonBody(
      reasonBody.extend({
        device_model: model
          .optional()
          .describe(
            'The model, for a device that does not report it. Default: the one that it reports, or the assumed one.',
          ),
      }),
    ),
  },
  responses: {
    200: answer('The changed device, with what the change sends', changedDeviceSchema),
    ...refusals(404, 409),
  },
});

export const deviceTimeline = createRoute({
  method: 'get',
  path: '/v1/devices/{device_id}/timeline',
  tags: ['Devices'],
  summary: 'Everything that happened to a device, newest first',
  request: { params, query: z.strictObject({ limit: pageQuery.limit, before: timestamp.optional() }) },
  responses: {
    200: answer('Entries', z.object({ items: z.array(timelineEntrySchema) }).openapi('Timeline')),
    ...refusals(404),
  },
});

export const explainDevice = createRoute({
  method: 'get',
  path: '/v1/devices/{device_id}/explain',
  tags: ['Devices'],
  summary: 'Why a device is, or is not, on a version: the rule that applies, since when, and what happens next',
  request: {
    params,
    query: z.strictObject({
      rollout: z
        .string()
        .max(160)
        .optional()
        .describe(
          'Id or name. Default: the rollout that is updating the device; otherwise the newest that targets it; otherwise the newest. Ten rollouts are examined.',
        ),
      version: name.optional().describe('Only rollouts of this version.'),
    }),
  },
  responses: { 200: answer('The explanation', explanationSchema), ...refusals(404) },
});

export const updateDevice = createRoute({
  method: 'post',
  path: '/v1/devices/{device_id}/update',
  tags: ['Devices'],
  summary: 'Send one device one release, ahead of any other rollout',
  request: {
    params,
    body: jsonBody(z.strictObject({ firmware_version: name, allow_downgrade: z.boolean().default(false) })),
  },
  responses: { 201: rolloutAnswer('The rollout that was created for the device'), ...refusals(404, 409) },
});

export const listGroups = createRoute({
  method: 'get',
  path: '/v1/groups',
  tags: ['Devices'],
  summary: 'Groups with their number of devices',
  responses: { 200: answer('Groups', z.object({ items: z.array(groupSchema) }).openapi('Groups')), ...refusals() },
});

export const changeGroup = createRoute({
  method: 'post',
  path: '/v1/groups',
  tags: ['Devices'],
  summary: 'Add devices to a group, or remove them; unknown devices are an error',
  request: {
    body: jsonBody(
      z.strictObject({
        group_name: groupName,
        add: z.array(deviceId).max(5000).default([]),
        remove: z.array(deviceId).max(5000).default([]),
      }),
    ),
  },
  responses: { 200: answer('The changed group, with what the change sends', changedGroupSchema), ...refusals() },
});

export const allowedDeviceSchema = z
  .object({
    device_id: z.string(),
    allowed_at: timestamp,
    allowed_by: z.string().describe('The IAM identity that put it on the list.'),
    provisioned_at: timestamp
      .nullable()
      .describe('When the device first requested a certificate; soon after that its entry is used up.'),
    device_model: z.string().nullable().describe('The model, if it was stated here; null: the device states it.'),
    mac_address: z.string().nullable().describe('The MAC address, if it was stated here.'),
  })
  .openapi('AllowedDevice');
export type AllowedDevice = z.infer<typeof allowedDeviceSchema>;

const expectedDevice = z.strictObject({
  device_id: deviceId,
  device_model: model,
  mac_address: z
    .string()
    .regex(/^[0-9A-Fa-f]{2}([:-]?[0-9A-Fa-f]{2}){5}$/, 'expected six bytes in hexadecimal, such as A0:B7:65:20:E9:55')
    .optional(),
});
export type ExpectedDevice = z.infer<typeof expectedDevice>;

export const listAllowedDevices = createRoute({
  method: 'get',
  path: '/v1/allowed-devices',
  tags: ['Devices'],
  summary: 'Devices that may request a certificate with a provisioning claim, in the order of their ids',
  request: { query: z.strictObject(pageQuery) },
  responses: { 200: answer('A page', pageOf('AllowedDevicePage', allowedDeviceSchema)), ...refusals() },
});

export const changeAllowedDevices = createRoute({
  method: 'post',
  path: '/v1/allowed-devices',
  tags: ['Devices'],
  summary: 'Allow devices to request a certificate with a provisioning claim once each, or no longer',
  request: {
    body: jsonBody(
      z.strictObject({
        add: z
          .array(z.union([deviceId, expectedDevice]))
          .max(1000)
          .default([])
          .describe('Ids, or ids with the model and the MAC address, which then count before what the device reports.'),
        remove: z.array(deviceId).max(1000).default([]),
      }),
    ),
  },
  responses: {
    200: answer(
      'How many devices were added and removed',
      z.object({ added: z.number().int(), removed: z.number().int() }).openapi('AllowedDeviceChange'),
    ),
    ...refusals(),
  },
});
