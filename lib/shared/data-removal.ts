import { RemovalPolicy } from 'aws-cdk-lib';
import type { Settings } from '../settings/index.ts';

/**
 * What CloudFormation does with a resource that holds data when its stack is deleted. Plain RETAIN would also keep the
 * resources of a first deployment that failed, and the next one would meet them.
 */
export const removalPolicyOf = ({ dataRemovalPolicy }: Settings): RemovalPolicy =>
  dataRemovalPolicy === 'retain' ? RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE : RemovalPolicy.DESTROY;
