import type { Fleet } from '../../api/service.ts';
import {
  type AssumedModels,
  type ChangedDevices,
  countRejections,
  type ExtraCertificates,
  findAssumedModels,
  findExtraCertificates,
  findRevokedCertificates,
  findSharedMac,
  listChangedDevices,
  listRefusedClients,
  type RefusedClient,
  type RevokedCertificates,
  type SharedMac,
} from '../../core/devices/index.ts';
import { listStalledRollouts, type StalledRollout } from '../../core/explain/index.ts';
import { type HoldRow, listHolds } from '../../core/holds/index.ts';
import { describeHold } from '../../core/policy/index.ts';
import { describeChange, describeRefusals } from '../../core/protocol/index.ts';
import {
  type ApprovalRequest,
  listApprovalRequests,
  listRollouts,
  type RolloutSummaryRow,
} from '../../core/rollouts/index.ts';
import { type LeftDevices, listLateRollbacks, listUnverified } from '../../core/updates/index.ts';
import { someNames } from '../../core/util/index.ts';
import { describeRequest } from './approvals.ts';
import type { Services } from './context.ts';

type Concern = Fleet['attention'][number];

/** Everything that needs the attention of an operator, the most urgent first. */
export async function listAttention(services: Services): Promise<Concern[]> {
  const { sql, now, deadLetters } = services;
  const [
    holds,
    stopped,
    requested,
    stalled,
    unverified,
    refused,
    lateRollbacks,
    changed,
    assumed,
    shared,
    extra,
    replaced,
    dead,
    rejections,
  ] = await Promise.all([
    listHolds(sql),
    listRollouts(sql, { states: ['halted', 'paused'] }, null, 50),
    listApprovalRequests(sql),
    listStalledRollouts(sql, now()),
    listUnverified(sql),
    listRefused(services),
    listLateRollbacks(sql, now()),
    listChangedDevices(sql),
    findAssumedModels(sql),
    findSharedMac(sql, now()),
    findExtraCertificates(sql),
    findRevokedCertificates(sql, now()),
    deadLetters.list(),
    countRejections(sql, now()),
  ]);
  return [
    ...holds.filter(({ scope }) => scope === 'service').map(describeHeld),
    ...unverified.map(describeUnverified),
    ...stopped.map(describeStop),
    ...requested.map(describeApproval),
    ...holds.filter(({ scope }) => scope === 'group').map(describeHeld),
    ...describeHeldDevices(holds.filter(({ scope }) => scope === 'device')),
    ...stalled.map(describeStall),
    ...describeRefused(refused, services),
    ...lateRollbacks.map(describeLateRollbacks),
    ...changed.map(describeChanged),
    ...describeAssumed(assumed),
    ...(shared === undefined ? [] : [describeSharedMac(shared)]),
    ...(extra === undefined ? [] : [describeExtraCertificates(extra)]),
    ...(replaced === undefined ? [] : [describeReplaced(replaced)]),
    ...dead.filter(({ messages }) => messages > 0).map(describeDeadLetters),
    ...describeRejections(rejections),
  ];
}

const describeStop = ({ rollout_id: id, name, paused_reason: reason, state }: RolloutSummaryRow): Concern => ({
  kind: state === 'halted' ? 'rollout_halted' : 'rollout_paused',
  message: `Rollout "${name}" is ${state}${reason === null ? '' : `: ${reason}`}`,
  link: `/rollouts/${id}`,
});

/** A hold of the whole service or of a group. */
function describeHeld(hold: HoldRow): Concern {
  const devices = hold.devices === 1 ? '1 device' : `${hold.devices} devices`;
  const updates = hold.waiting === 1 ? '1 pending update waits' : `${hold.waiting} pending updates wait`;
  const text = describeHold(hold);
  return {
    kind: `${hold.scope}_held`,
    message: `${text.charAt(0).toUpperCase()}${text.slice(1)}: ${hold.devices === 0 ? 'no device is in the group, so nothing is held' : `${devices}, ${updates}`}`,
    link: '/holds',
  };
}

/** The newest stands for all. */
function describeHeldDevices([newest, ...others]: readonly HoldRow[]): Concern[] {
  if (newest === undefined) return [];
  const more = others.length === 0 ? '' : `; ${others.length} more holds of devices are in force`;
  return [{ kind: 'device_held', message: `Device ${describeHold(newest)}${more}`, link: '/holds' }];
}

function describeApproval(request: ApprovalRequest): Concern {
  const { rollout_id: id, rollout_name: name, devices } = request;
  return {
    kind: 'approval_requested',
    message: `Rollout "${name}" waits for ${describeRequest(request)}, for ${devices} ${devices === 1 ? 'device' : 'devices'}`,
    link: `/rollouts/${id}`,
  };
}

function describeStall(stalled: StalledRollout): Concern {
  const { rollout_id: id, name, movedAt, waitingFor, devices, examples } = stalled;
  const named = devices === 0 ? '' : ` (${someNames(examples, devices)})`;
  return {
    kind: 'rollout_stalled',
    message: `Rollout "${name}" has not moved since ${movedAt.toISOString()}: it waits for ${waitingFor}${named}`,
    link: `/rollouts/${id}`,
  };
}

const linkTo = ({ rollout_id: id, examples }: LeftDevices) =>
  id === null ? `/devices/${examples[0]}` : `/rollouts/${id}`;

function describeUnverified(left: LeftDevices): Concern {
  const { firmware_version: version, rollout_name: name, devices, examples } = left;
  const subject = devices === 1 ? '1 device runs' : `${devices} devices run`;
  const source = name === null ? '' : `, sent by rollout "${name}"`;
  return {
    kind: 'unverified_bytes',
    message: `Unverified bytes are running: ${subject} ${version}${source}, after reporting that its verification failed: ${someNames(examples, devices)}`,
    link: linkTo(left),
  };
}

function describeLateRollbacks(left: LeftDevices): Concern {
  const { firmware_version: version, rollout_name: name, devices, examples } = left;
  const subject = devices === 1 ? '1 device' : `${devices} devices`;
  return {
    kind: 'late_rollback',
    message: `${subject} left ${version} in the last 7 days after proving it (rollout "${name}"): ${someNames(examples, devices)}`,
    link: linkTo(left),
  };
}

/** Clients of other applications may be asked about per view: each is a call to AWS IoT. */
const MAX_ASKED = 5;

/** The refused clients that are devices: those that have reported, and those that are things of this deployment. */
async function listRefused({ sql, now, certificates }: Services): Promise<RefusedClient[]> {
  const clients = await listRefusedClients(sql, now());
  const strangers = clients.filter(({ is_registered }) => !is_registered).slice(0, MAX_ASKED);
  // A device that AWS IoT cannot confirm is shown: a false hint costs less than a device that is not seen.
  const asked = await Promise.all(
    strangers.map(async ({ client_id: id }) => ((await certificates.isOurs(id).catch(() => true)) ? [id] : [])),
  );
  const ours = new Set(asked.flat());
  return clients.filter(({ client_id: id, is_registered }) => is_registered || ours.has(id));
}

/** The newest stands for all. */
function describeRefused([newest, ...others]: readonly RefusedClient[], { now, settings }: Services): Concern[] {
  if (newest === undefined) return [];
  const { client_id: id, is_registered: isRegistered } = newest;
  const subject = isRegistered ? `Device ${id}` : `Device ${id}, which never reported,`;
  const more =
    others.length === 0
      ? ''
      : `. So were ${someNames(
          others.map(({ client_id }) => client_id),
          others.length,
        )}`;
  return [
    {
      kind: 'refused_by_policy',
      message: `${subject} was ${describeRefusals(newest, id, settings.devicePolicy, now())}${more}`,
      link: isRegistered ? `/devices/${id}` : null,
    },
  ];
}

/** The newest change stands for all of its group. */
function describeChanged(changed: ChangedDevices): Concern {
  const { devices, examples, rollout_id: id, rollout_name: name } = changed;
  const [device] = examples;
  const others = devices === 1 ? '' : `, as do ${devices - 1} more`;
  const since = name === null ? '' : ` since rollout "${name}" updated it`;
  const [only, these] = devices === 1 ? ['it', 'the change'] : ['them', 'each change'];
  return {
    kind: 'identity_changed',
    message: `Device ${device} ${describeChange(changed)}${since}${others}: nothing is sent to ${only} until an operator accepts ${these}`,
    link: id === null ? `/devices/${device}` : `/rollouts/${id}`,
  };
}

function describeAssumed({ devices, examples }: AssumedModels): Concern[] {
  if (devices === 0) return [];
  const [device] = examples;
  const subject = devices === 1 ? `device ${device}` : `${devices} devices (${someNames(examples, devices)})`;
  return [
    {
      kind: 'model_assumed',
      message: `The model of ${subject} was never stated: only rollouts that name ${devices === 1 ? 'it by its id update it' : 'them by their ids update them'}. State it with paku-ota device accept <device>… --model <model>, or with the setting defaultModel`,
      link: `/devices/${device}`,
    },
  ];
}

function describeSharedMac({ device_id: id, mac, others, devices }: SharedMac): Concern {
  const more = devices === 1 ? '' : ` (and ${devices - 1} more in the last day)`;
  return {
    kind: 'mac_shared',
    message: `Device ${id} reports the MAC address ${mac}, as does ${others.join(', ')}${more}`,
    link: `/devices/${id}`,
  };
}

function describeExtraCertificates({ device_id: id, certificates, devices }: ExtraCertificates): Concern {
  const more = devices === 1 ? '' : ` (and ${devices - 1} more with several)`;
  return {
    kind: 'extra_certificates',
    message: `Device ${id} got ${certificates} certificates by its provisioning claim${more}: an answer was lost, or somebody else holds the claim. Revoke the device, or remove it from the allowed devices if you know the cause`,
    link: `/devices/${id}`,
  };
}

function describeReplaced({ device_id: id, certificates, devices }: RevokedCertificates): Concern {
  const more = devices === 1 ? '' : ` (and ${devices - 1} more in the last day)`;
  const older = certificates.length === 1 ? 'its older certificate was' : `its ${certificates.length} older ones were`;
  return {
    kind: 'certificates_revoked',
    message: `Device ${id} began to use another certificate, and ${older} revoked${more}. If nobody gave it one, revoke the device`,
    link: `/devices/${id}`,
  };
}

const counted = (count: number, noun: string, ending: string) =>
  count === 1 ? `1 ${noun} was ${ending}` : `${count} ${noun}s were ${ending}`;

const describeDeadLetters = ({ queue, messages }: { queue: string; messages: number }): Concern => ({
  kind: 'dead_letters',
  message: `${counted(messages, 'message', 'not handled')} and wait${messages === 1 ? 's' : ''} in the ${queue} queue`,
  link: null,
});

function describeRejections(counts: {
  readonly rejected_messages: number;
  readonly rejected_uploads: number;
}): Concern[] {
  const { rejected_messages: messages, rejected_uploads: uploads } = counts;
  const ofUploads = counted(uploads, 'upload', 'rejected in the last day');
  const ofMessages = counted(messages, 'message', 'rejected in the last day');
  return [
    ...(uploads === 0 ? [] : [{ kind: 'rejected_uploads' as const, message: ofUploads, link: '/releases' }]),
    ...(messages === 0 ? [] : [{ kind: 'rejected_messages' as const, message: ofMessages, link: null }]),
  ];
}
