import { RemovalPolicy } from 'aws-cdk-lib';
import type { Settings } from '../settings/index.ts';

/** What CloudFormation does with a resource that holds data when its stack is deleted. */
export const removalPolicyOf = ({ dataRemovalPolicy }: Settings): RemovalPolicy =>
  dataRemovalPolicy === 'retain' ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY;
