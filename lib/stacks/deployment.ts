import type { Construct } from 'constructs';
import type { Settings } from '../settings/index.ts';
import { DataStack } from './data-stack.ts';
import { ServiceStack } from './service-stack.ts';

/**
 * Both stacks of a deployment. CloudFormation makes the names of almost all resources from the names of the stacks, so
 * several deployments fit into one account and region.
 */
export function deployment(scope: Construct, settings: Settings): { data: DataStack; service: ServiceStack } {
  const data = new DataStack(scope, `${settings.name}Data`, { settings });
  return { data, service: new ServiceStack(scope, settings.name, { settings, data }) };
}
