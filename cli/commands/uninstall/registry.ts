import {
  DeleteCertificateCommand,
  DeletePolicyCommand,
  DeletePolicyVersionCommand,
  DeleteThingCommand,
  DeleteThingGroupCommand,
  DeleteThingTypeCommand,
  DeprecateThingTypeCommand,
  DescribeCertificateCommand,
  DetachPolicyCommand,
  DetachThingPrincipalCommand,
  type IoTClient,
  ListPolicyVersionsCommand,
  paginateListAttachedPolicies,
  paginateListPrincipalThings,
  paginateListTargetsForPolicy,
  paginateListThingPrincipals,
  paginateListThings,
  UpdateCertificateCommand,
} from '@aws-sdk/client-iot';

/** Names of what a deployment has in AWS IoT and keeps when its stacks are deleted. */
export interface RegistryNames {
  readonly policies: readonly string[];
  readonly thingType: string;
  readonly thingGroup: string;
}

/** What devices and claims have made in it. */
export interface Inventory {
  readonly things: readonly string[];
  /** ARNs of certificates of devices and claims. */
  readonly certificates: readonly string[];
}

export interface Progress {
  note(text: string): void;
  wait(milliseconds: number): Promise<void>;
}

/** Lists the things of the type, and the certificates with one of the policies. */
export async function surveyRegistry(client: IoTClient, { policies, thingType }: RegistryNames): Promise<Inventory> {
  const things: string[] = [];
  for await (const page of paginateListThings({ client }, { thingTypeName: thingType })) {
    things.push(...(page.things ?? []).map(({ thingName = '' }) => thingName));
  }
  const certificates = new Set<string>();
  for (const policyName of policies) {
    for await (const page of orNothing(paginateListTargetsForPolicy({ client }, { policyName }))) {
      for (const target of page.targets ?? []) certificates.add(target);
    }
  }
  return { things, certificates: [...certificates] };
}

/**
 * Deletes everything of the inventory and what the names name, in the order that AWS IoT demands. It can be repeated after
 * an interruption: what is gone already is passed over.
 * @returns what was left, and why
 */
export async function removeRegistry(
  client: IoTClient,
  names: RegistryNames,
  { things, certificates }: Inventory,
  progress: Progress,
): Promise<string[]> {
  // Its five minutes run while the rest is deleted, and no device can register any more.
  await unlessGone(client.send(new DeprecateThingTypeCommand({ thingTypeName: names.thingType })));
  const left: string[] = [];
  for (const thing of things) await removeThing(client, thing);
  progress.note(`${things.length} things are deleted`);
  for (const certificate of certificates) {
    const reason = await removeCertificate(client, certificate, names.policies);
    if (reason !== undefined) left.push(reason);
  }
  progress.note(`${certificates.length - left.length} certificates are deleted`);
  for (const policy of names.policies) await removePolicy(client, policy, progress);
  await unlessGone(client.send(new DeleteThingGroupCommand({ thingGroupName: names.thingGroup })));
  progress.note('the policies and the thing group are deleted; AWS IoT deletes the thing type after five minutes');
  await untilAccepted(
    () => unlessGone(client.send(new DeleteThingTypeCommand({ thingTypeName: names.thingType }))),
    'InvalidRequestException',
    progress,
  );
  return left;
}

/** AWS IoT deletes no thing that has a principal. */
async function removeThing(client: IoTClient, thingName: string): Promise<void> {
  for await (const { principals = [] } of orNothing(paginateListThingPrincipals({ client }, { thingName }))) {
    for (const principal of principals) {
      await unlessGone(client.send(new DetachThingPrincipalCommand({ thingName, principal })));
    }
  }
  await client.send(new DeleteThingCommand({ thingName }));
}

/**
 * AWS IoT deletes no certificate that is active or has a thing. With `forceDelete` it may have policies, so an
 * interrupted removal finds it again by its policy.
 * @returns why it was left, if it was
 */
async function removeCertificate(
  client: IoTClient,
  target: string,
  policies: readonly string[],
): Promise<string | undefined> {
  const certificateId = /:cert\/([0-9a-f]+)$/.exec(target)?.[1];
  const others = await othersOf(client, target, policies);
  if (certificateId === undefined || others.length > 0) {
    for (const policyName of policies) await unlessGone(client.send(new DetachPolicyCommand({ policyName, target })));
    return `${target}: ${others.length === 0 ? 'it is not a certificate' : `it also has ${others.join(', ')}`}`;
  }
  const described = await unlessGone(client.send(new DescribeCertificateCommand({ certificateId })));
  if (described?.certificateDescription?.status === 'ACTIVE') {
    await client.send(new UpdateCertificateCommand({ certificateId, newStatus: 'INACTIVE' }));
  }
  await unlessGone(client.send(new DeleteCertificateCommand({ certificateId, forceDelete: true })));
  return undefined;
}

/** Policies and things of a certificate that are none of the deployment's, whose things are deleted already. */
async function othersOf(client: IoTClient, target: string, ours: readonly string[]): Promise<string[]> {
  const others: string[] = [];
  for await (const { policies = [] } of orNothing(paginateListAttachedPolicies({ client }, { target }))) {
    const names = policies.map(({ policyName = '' }) => policyName);
    others.push(...names.filter((name) => !ours.includes(name)).map((name) => `the policy ${name}`));
  }
  for await (const { things = [] } of orNothing(paginateListPrincipalThings({ client }, { principal: target }))) {
    others.push(...things.map((thing) => `the thing ${thing}`));
  }
  return others;
}

/** AWS IoT deletes no policy that has further versions or is attached. */
async function removePolicy(client: IoTClient, policyName: string, progress: Progress): Promise<void> {
  const { policyVersions = [] } = (await unlessGone(client.send(new ListPolicyVersionsCommand({ policyName })))) ?? {};
  for (const { versionId: policyVersionId, isDefaultVersion } of policyVersions) {
    if (!isDefaultVersion) await client.send(new DeletePolicyVersionCommand({ policyName, policyVersionId }));
  }
  const remove = () => unlessGone(client.send(new DeletePolicyCommand({ policyName })));
  await untilAccepted(remove, 'DeleteConflictException', progress);
}

const isGone = (error: Error) => error.name === 'ResourceNotFoundException';

async function unlessGone<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (isGone(error as Error)) return undefined;
    throw error;
  }
}

async function* orNothing<T>(pages: AsyncIterable<T>): AsyncIterable<T> {
  try {
    yield* pages;
  } catch (error) {
    if (!isGone(error as Error)) throw error;
  }
}

const WAIT_MS = 15_000;
/** A policy can be deleted up to five minutes after it was detached, a thing type five minutes after its deprecation. */
const TRIES = 28;

/** Repeats a deletion that AWS IoT refuses with this error for some minutes. */
async function untilAccepted(remove: () => Promise<unknown>, refusal: string, { wait }: Progress): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await remove();
      return;
    } catch (error) {
      if ((error as Error).name !== refusal || tries === TRIES) throw error;
      await wait(WAIT_MS);
    }
  }
}
