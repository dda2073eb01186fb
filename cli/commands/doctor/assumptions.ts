import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DeviceDetail } from '../../../api/devices.ts';
import type { ReleaseDetail } from '../../../api/releases.ts';
import type { DeviceUpdate } from '../../../api/rollouts.ts';
import { ROOT } from '../../session/index.ts';
import type { Check } from './check.ts';
import type { DirectAnswer } from './check-aws.ts';

/** What a deployment has to show; null where it has nothing of the kind yet. */
export interface Evidence {
  readonly device: DeviceDetail | null;
  readonly release: ReleaseDetail | null;
  /** An update that succeeded. */
  readonly update: DeviceUpdate | null;
  readonly direct: DirectAnswer;
  readonly databaseSkewSeconds: number | null;
}

type Verdict = Pick<Check, 'outcome' | 'detail'>;
type AssumptionCheck = (evidence: Evidence) => Verdict;

const notTested =
  (detail: string): AssumptionCheck =>
  () => ({ outcome: 'not tested', detail });

/** Checks by a piece of evidence; `not tested` when it is absent. */
const given =
  <K extends 'device' | 'release' | 'update'>(
    kind: K,
    check: (thing: NonNullable<Evidence[K]>) => Verdict,
  ): AssumptionCheck =>
  (evidence) => {
    const thing = evidence[kind];
    return thing === null ? { outcome: 'not tested', detail: ABSENT[kind] } : check(thing);
  };

const ABSENT = {
  device: 'no device has reported yet',
  release: 'no release is registered yet',
  update: 'no device was updated yet',
};

const releaseName = ({ device_model, version }: ReleaseDetail) => `release ${device_model} ${version}`;

/** The check of each line of docs/aws-assumptions.md on a live account, by the beginning of the line. */
export const ASSUMPTION_CHECKS: Readonly<Record<string, AssumptionCheck>> = {
  "A rule's `encode": given('device', ({ device_id }) => ({
    outcome: 'partly',
    detail: `the status of ${device_id} was read; that no byte is changed needs a device that sends other bytes`,
  })),
  '`timestamp()` is': given('device', ({ device_id, client_id, last_seen }) =>
    client_id === null
      ? { outcome: 'fail', detail: `no client id was recorded for ${device_id}` }
      : { outcome: 'pass', detail: `${device_id} was received at ${last_seen} from client ${client_id}` },
  ),
  'The SQS action delivers': notTested('needs a message that is repeated or lost'),
  '`ListSubscriptions` names': given('device', ({ device_id, connection }) =>
    connection?.topics == null
      ? {
          outcome: 'not tested',
          detail: `needs a device that is connected; AWS IoT says about ${device_id}: ${connection?.text ?? 'nothing'}`,
        }
      : { outcome: 'pass', detail: `${device_id} listens on ${connection.topics.length} topics` },
  ),
  '`GetConnection` says': given('device', ({ device_id, connection }) =>
    connection === null || connection.state === 'not_asked'
      ? { outcome: 'not tested', detail: connection?.text ?? 'the API did not ask AWS IoT' }
      : { outcome: connection.state === 'not_known' ? 'partly' : 'pass', detail: `${device_id}: ${connection.text}` },
  ),
  'A disconnection by a policy': given('device', ({ device_id, refusals }) =>
    refusals === null
      ? { outcome: 'not tested', detail: 'needs a device that its policy refuses' }
      : { outcome: 'pass', detail: `${device_id} was ${refusals.text}` },
  ),
  '`SendDirectMessage` reaches': ({ direct, update }) => {
    if (direct.kind === 'denied') return { outcome: 'not tested', detail: direct.message };
    if (direct.kind === 'other') return { outcome: 'fail', detail: direct.message };
    const reached = update === null ? '' : `; ${update.device_id} was reached`;
    return { outcome: 'partly', detail: `404 for a client that is not connected${reached}; 504 needs one that sleeps` };
  },
  '`SendDirectMessage` is authorized on': given('update', ({ device_id }) => ({
    outcome: 'pass',
    detail: `${device_id} was reached under the grant`,
  })),
  "The data plane's default endpoint": ({ direct }) =>
    direct.kind === 'absent'
      ? { outcome: 'pass', detail: 'it answered for this account' }
      : { outcome: 'not tested', detail: direct.message },
  '`${iot:Connection.Thing.ThingName}`': given('device', ({ device_id }) => ({
    outcome: 'pass',
    detail: `${device_id} publishes under the policy`,
  })),
  'A client that publishes or subscribes outside': notTested('needs a device that misbehaves'),
  'A retained message needs': notTested('needs a device that retains, with a policy that lets it only publish'),
  'Data API: 4 MiB request': notTested('only the functions may read the database’s secret'),
  'A paused cluster answers': notTested('needs a cluster that is paused'),
  'String parameters arrive': ({ databaseSkewSeconds }) =>
    databaseSkewSeconds === null
      ? { outcome: 'not tested', detail: 'the API did not answer' }
      : { outcome: 'pass', detail: 'statements with parameters were answered' },
  'A `DO` block': given('device', ({ device_id }) => ({
    outcome: 'pass',
    detail: `the migration ran its blocks, and the status of ${device_id} was stored by a statement with infinity`,
  })),
  '`timestamptz` comes back': ({ databaseSkewSeconds: skew }) => {
    if (skew === null) return { outcome: 'not tested', detail: 'the API did not answer' };
    const detail = `the database's time is ${Math.round(skew)} s from the API's`;
    return { outcome: Math.abs(skew) < 120 ? 'pass' : 'fail', detail };
  },
  'S3 emits `Object Created`': given('release', (release) => ({
    outcome: 'pass',
    detail: `${releaseName(release)} was registered by the event of its upload`,
  })),
  "The event's `requester`": given('release', (release) =>
    release.put_by === null
      ? { outcome: 'not tested', detail: `who put ${releaseName(release)} is not recorded; upload another release` }
      : { outcome: 'pass', detail: `${releaseName(release)} was put by ${release.put_by} from ${release.put_from}` },
  ),
  'A presigned PUT whose': given('release', (release) =>
    release.requested_by === null
      ? { outcome: 'not tested', detail: `${releaseName(release)} was put into S3 directly, not by a presigned URL` }
      : {
          outcome: 'partly',
          detail: `${releaseName(release)} has the token of its request; the refusal needs a PUT with another`,
        },
  ),
  '`HeadObject` of an object version': given('release', (release) => ({
    outcome: 'pass',
    detail: `the metadata of the upload of ${releaseName(release)} was read`,
  })),
  '`CopyObject` honours': given('release', (release) => ({
    outcome: 'partly',
    detail: `${releaseName(release)} was copied; the refusal needs an upload that is overwritten meanwhile`,
  })),
  '`GetObject` and `HeadObject` of a key': notTested('your rights are not those of the functions'),
  'A URL presigned by': given('update', ({ device_id, firmware_version }) => ({
    outcome: 'partly',
    detail: `${device_id} downloaded ${firmware_version}; its end needs a download that outlives the session`,
  })),
  'An event source mapping': notTested('needs a function that fails'),
  "Lambda asks of a function's role": given('device', ({ device_id }) => ({
    outcome: 'pass',
    detail: `the status of ${device_id} came by a queue`,
  })),
  '`GetQueueAttributes` counts': notTested('needs messages that wait in a queue, and a look at their metric'),
  'API Gateway sets Content-Length': notTested('needs a model whose delivery is direct'),
  'API Gateway passes on the Content-Length': notTested('needs a HEAD request of the link of an open update'),
  "A rule's input template": notTested('needs a rollout that halts, and its mail'),
  'EventBridge Scheduler fires': notTested('needs a watch on the orchestrator: its log has a line for each look'),
  "A custom resource's `ServiceTimeout`": notTested('needs a migration that hangs'),
  '`UpdateCertificate` to': notTested('needs a device whose certificate is revoked while it is connected'),
  '`principal()` is': notTested('needs a status of a device, and the id of its certificate in the AWS IoT console'),
  '`DescribeCertificate` says': notTested('needs a device that has used two certificates'),
  'The pre-provisioning hook': notTested('needs a device that asks with a provisioning claim'),
  'Registering takes no': notTested('needs a device that is registered with a provisioning claim'),
  'A client id may': notTested('needs a device that connects with a provisioning claim'),
  '`s3:signatureAge` is': notTested('needs a URL that was presigned for more than an hour'),
};

/** Checks each line of the document by the evidence; `imitated` is the result on a local system. */
export function readAssumptions(evidence: Evidence | 'imitated'): Check[] {
  const document = readFileSync(join(ROOT, 'docs', 'aws-assumptions.md'), 'utf8');
  return readBehaviours(document).map((check) => ({ check, ...checkAssumption(check, evidence) }));
}

function checkAssumption(behaviour: string, evidence: Evidence | 'imitated'): Verdict {
  if (evidence === 'imitated') return { outcome: 'imitated', detail: 'by the local system' };
  const [, known] = Object.entries(ASSUMPTION_CHECKS).find(([beginning]) => behaviour.startsWith(beginning)) ?? [];
  return known === undefined ? { outcome: 'not tested', detail: 'no test of it is known' } : known(evidence);
}

/** The behaviours that the document lists: the first column of its table. */
export function readBehaviours(document: string): string[] {
  return document
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .map((line) => line.split('|')[1]?.trim() ?? '')
    .filter((text) => text !== 'behaviour' && !/^-+$/.test(text));
}
