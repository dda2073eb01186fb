import { CloudFormationClient, DescribeStacksCommand } from '@aws-sdk/client-cloudformation';
import { defaultProvider } from '@aws-sdk/credential-provider-node';
import { CliError } from './failure.ts';
import type { Place, Target } from './target.ts';

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
    const reason = explain(error as Error, place);
    throw new CliError(isNamed || profile || wanted ? reason : `${NEITHER} (${reason})`, undefined, error);
  }
}

async function readOutputs(client: CloudFormationClient, stack: string): Promise<Map<string, string>> {
  const { Stacks = [] } = await client.send(new DescribeStacksCommand({ StackName: stack }));
  const outputs = Stacks[0]?.Outputs ?? [];
  return new Map(outputs.map(({ OutputKey = '', OutputValue = '' }) => [OutputKey, OutputValue]));
}

function explain({ name, message }: Error, { stack }: Deployment): string {
  if (message.includes('does not exist')) {
    return `there is no stack ${stack} in this account and region: deploy it with npm run deploy, or name it with --stack and --region`;
  }
  if (/region is missing/i.test(message)) return 'no AWS region is set: use --region, AWS_REGION or a profile with one';
  if (name === 'CredentialsProviderError' || name === 'TokenProviderError') {
    return `no AWS credentials were found: use --profile, or sign in (${message})`;
  }
  return `AWS answered: ${message}`;
}
