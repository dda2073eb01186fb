import { afterAll, beforeAll, expect, test } from 'vitest';
import { ASSEMBLY } from '../support/assembly.ts';
import { GrantRecorder, isDoneByAws } from '../support/grant-recorder.ts';
import { STORIES } from '../support/grant-story.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';

// biome-ignore lint/suspicious/noTemplateCurlyInString: an IoT policy variable
const ITSELF = '${iot:Connection.Thing.ThingName}';

/** Grants with wildcards, each with its reason. Log groups and X-Ray have their own test. */
const REVIEWED: Readonly<Record<string, string>> = {
  'DispatchRole iot:ListSubscriptions client/*': 'any device may be asked which command topic it listens on',
  'DispatchRole iot:SendDirectMessage client/* if iot:Topic is like paku/devices/*/cmd/ota or paku/edge/*/cmd/ota':
    'any device may be commanded, only on a command topic',
  'DownloadRole s3:GetObject firmwarebucket/releases/*': 'any release may be downloaded; uploads may not',
  'OperatorApiRole iot:DeleteConnection client/*': 'any device may be disconnected',
  'OperatorApiRole iot:GetConnection client/*': 'any device may be asked about',
  'OperatorApiRole iot:ListSubscriptions client/*': 'any device may be asked which topics it listens on',
  'OperatorApiRole iot:DescribeThing thing/*': 'any device may be revoked; this checks that it is ours',
  'OperatorApiRole iot:ListThingPrincipals thing/*': 'any device may be revoked',
  'OperatorApiRole iot:UpdateCertificate cert/*': 'certificates have no names, tags or paths to distinguish them',
  'OperatorApiRole s3:GetObject firmwarebucket/firmware/*': 'any upload may be verified again',
  'OperatorApiRole s3:PutObject firmwarebucket/firmware/*': 'operators name uploads; they cannot write releases',
  'OrchestrateRole iot:DescribeCertificate cert/*': 'tells which certificate of a device is older',
  'OrchestrateRole iot:DescribeThing thing/*': 'any device may get another certificate; this checks that it is ours',
  'OrchestrateRole iot:ListPrincipalThings cert/*': 'a certificate of several things is not revoked',
  'OrchestrateRole iot:ListThingPrincipals thing/*': 'any device may get another certificate',
  'OrchestrateRole iot:UpdateCertificate cert/*': 'certificates have no names, tags or paths to distinguish them',
  'RegisterReleaseRole s3:GetObjectVersion firmwarebucket/firmware/*': 'people name uploads',
  'RegisterReleaseRole s3:PutObject firmwarebucket/releases/*': 'releases are named by their content',
  [`the device policy iot:Publish topic/paku/devices/${ITSELF}/*`]: 'its own subtree; firmware uses more of it',
  [`the device policy iot:Publish topic/paku/edge/${ITSELF}/*`]: 'its own subtree; firmware uses more of it',
  [`the device policy iot:Receive topic/paku/devices/${ITSELF}/*`]: 'its own subtree; firmware uses more of it',
  [`the device policy iot:Receive topic/paku/edge/${ITSELF}/*`]: 'its own subtree; firmware uses more of it',
  [`the device policy iot:RetainPublish topic/paku/devices/${ITSELF}/*`]:
    'its own subtree; firmware retains its settings',
  [`the device policy iot:RetainPublish topic/paku/edge/${ITSELF}/*`]: 'its own subtree; firmware retains its settings',
  'the device policy iot:Publish topic/paku/sensors/*': 'firmware names sensors by place; no device obeys these topics',
  [`the device policy iot:Subscribe topicfilter/paku/devices/${ITSELF}/*`]: 'its own subtree; firmware uses more of it',
  [`the device policy iot:Subscribe topicfilter/paku/edge/${ITSELF}/*`]: 'its own subtree; firmware uses more of it',
};

const grants = new GrantRecorder();
let system: TestSystem;
beforeAll(async () => {
  system = await startTestSystem(ASSEMBLY, {}, {}, grants);
});
afterAll(() => system?.close());

for (const { name, play } of STORIES) test(name, () => play(system, grants));

test('each grant is used by one of these stories', () => {
  expect(grants.unused).toEqual([]);
});

test('no function and no service made a call without a grant', () => {
  expect(grants.refused).toEqual([]);
});

test('the wildcards are exactly the reviewed ones', () => {
  const wildcards = grants.all.filter((text) => /[*?]/.test(text) && !isDoneByAws(text));
  expect(wildcards).toEqual(Object.keys(REVIEWED).sort());
});

test('each function can write to its own log group and send traces, which have no resource', () => {
  const functions = new Set(
    grants.all.filter((text) => text.includes('rds-data:')).map((text) => text.split('Role ')[0]),
  );
  const expected = [...functions].flatMap((name) => [
    ...['CreateLogStream', 'PutLogEvents'].map((action) => `${name}Role logs:${action} log-group:${name}Logs:*`),
    ...['PutTelemetryRecords', 'PutTraceSegments'].map((action) => `${name}Role xray:${action} *`),
  ]);
  expect(functions.size).toBe(9);
  expect(grants.all.filter((text) => / (logs|xray):/.test(text))).toEqual(expected.sort());
});
