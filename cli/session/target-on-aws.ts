import { CloudFormationClient, DescribeStacksCommand } from '@aws-sdk/client-cloudformation';
import { defaultProvider } from '@aws-sdk/credential-provider-node';
import { describeAwsProblem } from './aws-problem.ts';
import { CliError, EXIT } from './failure.ts';
import { type Account, DEFAULT_STACK, type Place, type Target, type TargetOptions } from './target.ts';

type Deployment = Extract<Place, { kind: 'aws' }>;

const NEITHER =
  'no local system runs here and no AWS deployment could be found: start the local one with npm start (in another folder: name its state folder with PAKU_OTA_HOME), or name a deployment with --profile, --region and --stack';

/**
 * Reads the deployment from the outputs of its stack, with the credentials that every AWS tool would use.
 * @param isNamed true when the flags ask for AWS; false when no local system was found
 * @throws CliError that says what is missing and what to do
 */
export async function findDeployment(place: Deployment, isNamed: boolean): Promise<Target> {
  const { profile, region: wanted, stack } = place;
  const credentials = defaultProvider({ ...(profile && { profile }) });
  const client = new CloudFormationClient({
    ...(wanted && { region: wanted }),
    ...(profile && { profile }),
    credentials,
  });
  try {
    const region = await client.config.region();
    const outputs = await readOutputs(client, stack);
    const apiUrl = outputs.get('ApiUrl');
    if (apiUrl === undefined) {
      throw new CliError(`stack ${stack} in ${region} has no output ApiUrl: name the service stack with --stack`);
    }
    const name = `stack ${stack} in ${region}`;
    return { kind: 'aws', name, apiUrl: apiUrl.replace(/\/$/, ''), region, credentials, outputs };
  } catch (error) {
    if (error instanceof CliError) throw error;
    const reason = describeAwsProblem(error as Error, place);
    throw new CliError(isNamed || profile || wanted ? reason : `${NEITHER} (${reason})`, undefined, error);
  }
}

async function readOutputs(client: CloudFormationClient, stack: string): Promise<Map<string, string>> {
  const { Stacks = [] } = await client.send(new DescribeStacksCommand({ StackName: stack }));
  const outputs = Stacks[0]?.Outputs ?? [];
  return new Map(outputs.map(({ OutputKey = '', OutputValue = '' }) => [OutputKey, OutputValue]));
}

/** The account and region that the flags name, with the credentials that every AWS tool would use. @throws CliError */
export async function findAccount({ local, profile, region, stack = DEFAULT_STACK }: TargetOptions): Promise<Account> {
  if (local) throw new CliError('--local does not go with a look at an AWS account', EXIT.usage);
  const named = { ...(profile && { profile }), ...(region && { region }) };
  const credentials = defaultProvider({ ...(profile && { profile }) });
  const describe = (error: Error) => describeAwsProblem(error, { kind: 'aws', stack, ...named });
  try {
    await credentials();
    return { stack, region: await new CloudFormationClient(named).config.region(), credentials, describe };
  } catch (error) {
    throw new CliError(describe(error as Error), undefined, error);
  }
}
