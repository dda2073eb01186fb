import { IoTClient } from '@aws-sdk/client-iot';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { removeRegistry, surveyRegistry } from '../../../../cli/commands/uninstall/registry.ts';
import { makeProgram } from '../../../../cli/program.ts';
import { accountServices, completeAccount } from '../../../support/account.ts';
import { FakeRegistry } from '../../../support/iot-registry.ts';
import { startEndpoints, type TestEndpoints } from '../../../support/local/aws-endpoints.ts';

const names = { policies: ['devices', 'claims'], thingType: 'van', thingGroup: 'vans' };
let registry: FakeRegistry;
let endpoints: TestEndpoints;
let client: IoTClient;
beforeAll(async () => {
  const outputs = {
    ApiUrl: 'https://api',
    DevicePolicy: 'devices',
    ProvisioningClaimPolicy: 'claims',
    DeviceThingType: 'van',
    DeviceThingGroup: 'vans',
  };
  const { cloudformation } = accountServices({ ...completeAccount(), stack: 'CREATE_COMPLETE', outputs }).regional;
  endpoints = await startEndpoints({
    ...(cloudformation && { cloudformation }),
    iot: { handle: (request) => registry.handle(request) },
  });
  client = new IoTClient(endpoints.operator);
});
afterAll(() => endpoints.aws.close());

/** Three devices, one of them revoked, a claim, and a thing of somebody else. */
beforeEach(() => {
  registry = new FakeRegistry();
  registry.policies.set('devices', ['1', '2', '3']).set('claims', ['1']).set('meters', ['1']);
  registry.types.set('van', undefined);
  registry.groups.add('vans').add('meters');
  for (const thing of ['van-1', 'van-2', 'van-3']) registry.things.set(thing, 'van');
  registry.things.set('meter-1', 'meter');
  registry.addCertificate('a', ['devices'], ['van-1']);
  registry.addCertificate('b', ['devices'], ['van-2'], 'REVOKED');
  registry.addCertificate('c', ['devices'], ['van-3']);
  registry.addCertificate('d', ['claims'], []);
  registry.addCertificate('e', ['meters'], ['meter-1']);
});

const notes: string[] = [];
async function remove(): Promise<string[]> {
  const progress = {
    note: (text: string) => notes.push(text),
    wait: async (milliseconds: number) => {
      registry.now += milliseconds;
    },
  };
  return removeRegistry(client, names, await surveyRegistry(client, names), progress);
}

const ids = () => [...registry.certificates.keys()].map((id) => id[0]);

test('everything of the deployment is found, and nothing of others', async () => {
  const { things, certificates } = await surveyRegistry(client, names);
  expect(things).toEqual(['van-1', 'van-2', 'van-3']);
  expect(certificates.map((arn) => arn.at(-1))).toEqual(['a', 'b', 'c', 'd']);
});

test('everything is deleted in an order that AWS IoT accepts, and nothing of others', async () => {
  expect(await remove()).toEqual([]);
  expect([...registry.things.keys()]).toEqual(['meter-1']);
  expect(ids()).toEqual(['e']);
  expect([...registry.policies.keys()]).toEqual(['meters']);
  expect([...registry.groups]).toEqual(['meters']);
  expect([...registry.types.keys()]).toEqual([]);
});

test('it only meets the refusals that end with time', async () => {
  await remove();
  const refused = registry.log.filter((line) => !line.startsWith('deleted'));
  const kinds = new Set(refused.map((line) => line.replace(/\/[^/]*$/, '')));
  expect(kinds).toEqual(
    new Set(['DeleteConflictException: DELETE /policies', 'InvalidRequestException: DELETE /thing-types']),
  );
  expect(registry.now).toBeLessThan(10 * 60_000);
});

test('a certificate that also serves somebody else loses what is ours, stays active and is named', async () => {
  registry.addCertificate('f', ['devices', 'meters'], ['van-1', 'meter-1']);
  expect(await remove()).toEqual([
    expect.stringMatching(/cert\/f+: it also has the policy meters, the thing meter-1$/),
  ]);
  expect(registry.certificates.get('f'.repeat(64))).toMatchObject({
    status: 'ACTIVE',
    policies: new Set(['meters']),
    things: new Set(['meter-1']),
  });
  expect([...registry.policies.keys()]).toEqual(['meters']);
});

test('a removal that was interrupted goes on, and one that is complete does nothing', async () => {
  const { handle } = registry;
  let calls = 0;
  registry.handle = (request) => {
    if (++calls === 20)
      return Promise.resolve({ status: 403, headers: { 'x-amzn-errortype': 'ForbiddenException' }, body: '{}' });
    return handle.call(registry, request);
  };
  await expect(remove()).rejects.toMatchObject({ name: 'ForbiddenException' });
  expect(ids().length).toBeGreaterThan(2);
  expect(await remove()).toEqual([]);
  expect(ids()).toEqual(['e']);
  const { length } = registry.log;
  expect(await remove()).toEqual([]);
  expect(registry.log.slice(length).filter((line) => line.startsWith('deleted'))).toEqual([
    'deleted /thing-groups/vans',
  ]);
});

test('the command asks before it deletes, and needs --yes without a terminal', async () => {
  const { accessKeyId, secretAccessKey } = await endpoints.operator.credentials;
  vi.stubEnv('AWS_ENDPOINT_URL', endpoints.aws.url);
  vi.stubEnv('AWS_ACCESS_KEY_ID', accessKeyId);
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', secretAccessKey);
  const said = vi.spyOn(console, 'error').mockImplementation(() => {});
  const log = vi.spyOn(console, 'log').mockImplementation(() => {});
  const run = (...args: string[]) =>
    makeProgram().parseAsync(['uninstall', '--region', endpoints.operator.region, ...args], { from: 'user' });
  await expect(run()).rejects.toThrow('--yes');
  expect(said.mock.calls.flat()).toContain(
    'stack PakuOta in eu-west-1 has 3 things and 4 certificates of devices and claims.',
  );
  expect(registry.log).toEqual([]);

  registry.things.clear();
  registry.certificates.clear();
  registry.types.set('van', -600_000);
  await run('--yes', '--json');
  expect(JSON.parse(String(log.mock.calls.at(-1)?.[0]))).toEqual({
    deleted: { things: [], certificates: [] },
    left: [],
  });
  expect([...registry.policies.keys()]).toEqual(['meters']);
});
