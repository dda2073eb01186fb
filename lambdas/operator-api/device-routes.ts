import { draftForDevice } from '../../api/device-draft.ts';
import * as routes from '../../api/devices.ts';
import { previewChange } from '../../api/reach.ts';
import {
  acceptIdentities,
  allowDevices,
  cancelRevoked,
  changeGroup,
  type DeviceDetailRow,
  deviceTimeline,
  type ExpectedDevice,
  findUnknownDevices,
  forbidDevices,
  getDevice,
  listAllowedDevices,
  listDevices,
  listGroups,
  MAX_ATTRIBUTES_BYTES,
  type PresenceAt,
  reinstateDevice,
  revokeDevice,
  setAttributes,
  setGroups,
  type TimelineRow,
} from '../../core/devices/index.ts';
import { explainByItsRollout, explainDevice } from '../../core/explain/index.ts';
import { listHoldsOf } from '../../core/holds/index.ts';
import { readableBeginning } from '../../core/ingest/index.ts';
import { describeHold } from '../../core/policy/index.ts';
import { describeChange, resultText } from '../../core/protocol/index.ts';
import { getRollout } from '../../core/rollouts/index.ts';
import { type DeviceId, normalizeMacAddress } from '../../core/util/index.ts';
import { type App, json, type Services } from './context.ts';
import { answerOf, createForDevice } from './create-rollout.ts';
import { decodeCursor, toPage } from './cursors.ts';
import { connectionOf, refusalsOf, unknownDevice } from './device-contact.ts';
import { readAttribute, readFact } from './device-filter.ts';
import { invalid, notFound, RefusedCall } from './problems.ts';
import { reachOfChange, toChange } from './reach.ts';
import { trustOf } from './stepping-stones.ts';

export function addDeviceRoutes(app: App, services: Services): void {
  const { sql, now } = services;
  const trust = trustOf(services.settings);

  const presenceAt = async (): Promise<PresenceAt> => ({ now: now(), pause: await services.recordingPause() });

  const deviceOf = async (deviceId: DeviceId) => {
    const device = await getDevice(sql, deviceId, await presenceAt());
    if (device === undefined) throw await unknownDevice(services, deviceId);
    const refusals = await refusalsOf(services, device.client_id ?? deviceId);
    const holds = (await listHoldsOf(sql, deviceId)).map((hold) => ({ ...hold, text: describeHold(hold) }));
    return json({ ...toDeviceDetail(device), holds, refusals, connection: null });
  };

  const connectedDeviceOf = async (deviceId: DeviceId) => {
    const device = await deviceOf(deviceId);
    return { ...device, connection: await connectionOf(services, deviceId, device.client_id ?? deviceId) };
  };

  const actorOf = (c: { get(name: 'caller'): string }) => ({ by: c.get('caller'), now: now() });

  app.openapi(routes.listDevices, async (c) => {
    const { limit, cursor, attribute, fact, ...query } = c.req.valid('query');
    const filter = { ...query, attribute: readAttribute(attribute), fact: readFact(fact) };
    const rows = await listDevices(sql, filter, decodeCursor(cursor, 'string'), limit, await presenceAt());
    return c.json(
      toPage(json(rows), limit, ({ device_id: id }) => id),
      200,
    );
  });

  app.openapi(routes.getDevice, async (c) => c.json(await connectedDeviceOf(c.req.valid('param').device_id), 200));

  app.openapi(previewChange, async (c) => {
    return c.json({ reached_by: await reachOfChange(services, toChange(c.req.valid('json'))) }, 200);
  });

  app.openapi(routes.setAttributes, async (c) => {
    const { device_id: deviceId } = c.req.valid('param');
    const { metadata } = c.req.valid('json');
    const reached_by = await reachOfChange(services, { deviceIds: [deviceId], attributes: metadata });
    const outcome = await setAttributes(sql, deviceId, metadata, actorOf(c));
    if (outcome === 'unknown device') throw notFound(`device ${deviceId}`);
    if (outcome === 'too large') {
      throw invalid(
        'metadata',
        `the attributes of ${deviceId} would be over ${MAX_ATTRIBUTES_BYTES} bytes of JSON; remove some`,
      );
    }
    return c.json({ ...(await deviceOf(deviceId)), reached_by }, 200);
  });

  app.openapi(routes.setGroups, async (c) => {
    const { device_id: deviceId } = c.req.valid('param');
    const { groups } = c.req.valid('json');
    const { groups: before } = await deviceOf(deviceId);
    const reached_by = await reachOfChange(services, {
      deviceIds: [deviceId],
      joinGroups: groups,
      leaveGroups: before.filter((name) => !groups.includes(name)),
    });
    if (!(await setGroups(sql, deviceId, groups, actorOf(c)))) throw notFound(`device ${deviceId}`);
    return c.json({ ...(await deviceOf(deviceId)), reached_by }, 200);
  });

  app.openapi(routes.revokeDevice, async (c) => {
    const { device_id: deviceId } = c.req.valid('param');
    const device = await getDevice(sql, deviceId, await presenceAt());
    if (device === undefined && !(await services.certificates.isOurs(deviceId))) {
      throw new RefusedCall(
        404,
        `There is no device ${deviceId}: it never reported, and AWS IoT has no such thing of this deployment.`,
      );
    }
    // Revokes in the database first, so that the device cannot request another certificate. A repeated call continues
    // from there.
    await revokeDevice(sql, { deviceId, reason: c.req.valid('json').reason, by: c.get('caller') }, now());
    const certificates = await services.certificates.revoke(deviceId);
    await cancelRevoked(sql, now());
    return c.json({ certificates, device: device === undefined ? null : await deviceOf(deviceId) }, 200);
  });

  app.openapi(routes.reinstateDevice, async (c) => {
    const { device_id: deviceId } = c.req.valid('param');
    const change = { deviceId, reason: c.req.valid('json').reason, by: c.get('caller') };
    await deviceOf(deviceId);
    const reached_by = await reachOfChange(services, { deviceIds: [deviceId], reinstates: true });
    if (!(await reinstateDevice(sql, change, now()))) throw new RefusedCall(409, `${deviceId} is not revoked.`);
    return c.json({ ...(await deviceOf(deviceId)), reached_by }, 200);
  });

  app.openapi(routes.acceptIdentity, async (c) => {
    const { device_id: deviceId } = c.req.valid('param');
    const { reason, device_model: stated } = c.req.valid('json');
    const { device_model: known, model_is_assumed: isAssumed, ...device } = await deviceOf(deviceId);
    const { reported_model: reported, mac_address: mac } = device;
    if (stated !== undefined && reported !== null && stated !== reported) {
      throw new RefusedCall(
        409,
        `${deviceId} reports the model ${reported}, not ${stated}: accept that, or change its firmware.`,
      );
    }
    const model = stated ?? (isAssumed ? known : null);
    const reached_by = await reachOfChange(services, { deviceIds: [deviceId], identity: { model } });
    const acceptance = { deviceIds: [deviceId], model, reason, by: c.get('caller') };
    if ((await acceptIdentities(sql, acceptance, now())) === 0) {
      throw new RefusedCall(
        409,
        `${deviceId} reports what is known of it, or nothing: model ${known}, MAC address ${mac ?? 'unknown'}.`,
      );
    }
    return c.json({ ...(await deviceOf(deviceId)), reached_by }, 200);
  });

  app.openapi(routes.deviceTimeline, async (c) => {
    const { device_id: deviceId } = c.req.valid('param');
    const { before, limit } = c.req.valid('query');
    await deviceOf(deviceId);
    const rows = await deviceTimeline(sql, deviceId, before ?? null, limit);
    return c.json({ items: json(rows.map(withResult)) }, 200);
  });

  app.openapi(routes.explainDevice, async (c) => {
    const { device_id: deviceId } = c.req.valid('param');
    const { rollout: named, version } = c.req.valid('query');
    const device = await connectedDeviceOf(deviceId);
    const { device_model: model, presence, connection, refusals } = device;
    const found =
      named === undefined ? await explainByItsRollout(sql, deviceId, version ?? null, now(), trust) : undefined;
    const id = named ?? found?.rolloutId.toString();
    if (id === undefined) throw notFound(`rollout${version === undefined ? '' : ` of ${version}`} for ${model}`);
    const rollout = await getRollout(sql, id);
    if (rollout === undefined) throw notFound(`rollout ${id}`);
    const explanation = found ?? (await explainDevice(sql, rollout.rollout_id, deviceId, now(), trust));
    if (explanation === undefined) throw notFound(`device ${deviceId}`);
    const { rule, since } = explanation;
    const next = `${explanation.next}${sharedMacHint(device)}`;
    const { rollout_id, name: rollout_name, firmware_version } = rollout;
    const facts = { rollout_id, rollout_name, firmware_version, rule, since, next };
    return c.json({ device_id: deviceId, presence, connection, refusals, ...json(facts) }, 200);
  });

  app.openapi(routes.updateDevice, async (c) => {
    const { device_id: deviceId } = c.req.valid('param');
    const { firmware_version: version, allow_downgrade } = c.req.valid('json');
    const device = await deviceOf(deviceId);
    if (device.revoked_at !== null) {
      throw new RefusedCall(
        409,
        `The identity of ${deviceId} was revoked: reinstate it, and give it a new certificate.`,
      );
    }
    if (device.identity_change !== null) {
      const command = `paku-ota device accept ${deviceId}`;
      throw new RefusedCall(409, `${deviceId} ${device.identity_change}; accept that first: ${command}`);
    }
    if (device.update?.is_open && device.update.rollout_name !== null && device.update.status !== 'pending') {
      const { rollout_name: rollout, status } = device.update;
      throw new RefusedCall(
        409,
        `${deviceId} is being updated by rollout "${rollout}" (${status}); wait until that has ended.`,
      );
    }
    const draft = { ...draftForDevice(device, version, allow_downgrade), name: `${deviceId} to ${version}` };
    const id = await createForDevice(services, deviceId, draft, c.get('caller'));
    return c.json(await answerOf(services, c, id), 201);
  });

  app.openapi(routes.listAllowedDevices, async (c) => {
    const { limit, cursor } = c.req.valid('query');
    const rows = await listAllowedDevices(sql, decodeCursor(cursor, 'string'), limit);
    return c.json(
      toPage(json(rows), limit, ({ device_id: id }) => id),
      200,
    );
  });

  app.openapi(routes.changeAllowedDevices, async (c) => {
    const { add, remove } = c.req.valid('json');
    const removed = await forbidDevices(sql, remove);
    return c.json({ added: await allowDevices(sql, add.map(toExpected), c.get('caller'), now()), removed }, 200);
  });

  app.openapi(routes.listGroups, async (c) => c.json({ items: await listGroups(sql) }, 200));

  app.openapi(routes.changeGroup, async (c) => {
    const { group_name: group, ...change } = c.req.valid('json');
    const unknown = await findUnknownDevices(sql, change.add);
    if (unknown.length > 0) throw invalid('add', `not registered: ${unknown.join(', ')}`);
    const reached_by = [
      ...(await reachOfChange(services, { deviceIds: change.add, joinGroups: [group] })),
      ...(await reachOfChange(services, { deviceIds: change.remove, leaveGroups: [group] })),
    ];
    return c.json({ ...(await changeGroup(sql, group, change, actorOf(c))), reached_by }, 200);
  });
}

function toExpected(device: string | routes.ExpectedDevice): ExpectedDevice {
  if (typeof device === 'string') return { device_id: device, device_model: null, mac_address: null };
  return { ...device, mac_address: normalizeMacAddress(device.mac_address ?? '') ?? null };
}

function toDeviceDetail({ rejected_message: rejected, ...row }: DeviceDetailRow) {
  const device = { ...row, identity_change: row.identity_changed_at === null ? null : describeChange(row) };
  if (rejected === null) return { ...device, rejected_message: null };
  const { payload, ...message } = rejected;
  const beginning = readableBeginning(Buffer.from(payload, 'base64'));
  return { ...device, rejected_message: { ...message, beginning } };
}

/** A device that changes its id with an update goes silent, and another one appears. */
function sharedMacHint({ mac_shared_with: others }: Pick<DeviceDetailRow, 'mac_shared_with'>): string {
  if (others.length === 0) return '';
  const [report, subject] = others.length === 1 ? ['reports', 'it'] : ['report', 'one of them'];
  return `; ${others.join(', ')} ${report} its MAC address too: ${subject} may be this device under another id`;
}

/** A result with the name of its code. */
function withResult(row: TimelineRow): TimelineRow {
  const result = resultText(row.detail.resultCode);
  return result === null ? row : { ...row, detail: { ...row.detail, result } };
}
