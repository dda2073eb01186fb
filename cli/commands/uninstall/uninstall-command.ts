import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { addCommand, CliError, confirmOrStop, EXIT, registerAction, type Session } from '../../session/index.ts';
import type { RegistryNames } from './registry.ts';

interface UninstallOptions {
  readonly yes?: boolean;
}

export function addUninstall(program: Command): void {
  const command = addCommand(
    program,
    'uninstall',
    'delete what a deployment has in AWS IoT and CloudFormation cannot delete: certificates, things, policies, group, type',
    ['paku-ota uninstall --aws', 'paku-ota uninstall --stack Stage --yes'],
  ).option('--yes', 'do not ask');
  registerAction<UninstallOptions, []>(command, uninstall);
}

async function uninstall(session: Session, { yes = false }: UninstallOptions): Promise<void> {
  const { target } = session;
  if (target.kind === 'local') {
    throw new CliError(`${target.name} is not a deployment: stop it and delete its folder`, EXIT.usage);
  }
  const names = namesOf(session);
  // Imported on demand: loading the SDK takes longer than a call to a local system.
  const [{ surveyRegistry, removeRegistry }, { IoTClient }] = await Promise.all([
    import('./registry.ts'),
    import('@aws-sdk/client-iot'),
  ]);
  const client = new IoTClient({ region: target.region, credentials: target.credentials, maxAttempts: 5 });
  const inventory = await surveyRegistry(client, names);
  session.note(
    `${target.name} has ${inventory.things.length} things and ${inventory.certificates.length} certificates of devices and claims.`,
  );
  session.note('After this no device of it can connect again without a new certificate. Its data stays.');
  await confirmOrStop(`Delete them, and ${[...names.policies, names.thingGroup, names.thingType].join(', ')}?`, yes);
  const progress = { note: session.note, wait: (milliseconds: number) => sleep(milliseconds) };
  const left = await removeRegistry(client, names, inventory, progress);
  session.show({ deleted: inventory, left }, () => [
    'AWS IoT has nothing of the deployment any more.',
    ...left.map((line) => `Left: ${line}`),
    'Next: npx cdk destroy of both stacks, see "Removing everything" in docs/deploy.md',
  ]);
}

function namesOf({ target: { name, outputs } }: Session): RegistryNames {
  const read = (key: string): string => {
    const value = outputs?.get(key);
    if (value === undefined) throw new CliError(`${name} has no output ${key}: name the service stack with --stack`);
    return value;
  };
  return {
    policies: [read('DevicePolicy'), read('ProvisioningClaimPolicy')],
    thingType: read('DeviceThingType'),
    thingGroup: read('DeviceThingGroup'),
  };
}
