import { Validations } from 'aws-cdk-lib';
import { type ISubnet, type IVpc, Subnet, SubnetType, Vpc } from 'aws-cdk-lib/aws-ec2';
import type { Construct } from 'constructs';
import type { Settings } from '../settings/index.ts';

export interface Network {
  readonly vpc: IVpc;
  readonly subnets: ISubnet[];
}

/**
 * The network of the settings, or one that is made for the cluster. Isolated subnets suffice: the Data API needs no
 * route.
 */
export function databaseNetwork(scope: Construct, { vpc }: Settings): Network {
  return vpc === undefined ? newNetwork(scope) : existingNetwork(scope, vpc);
}

function existingNetwork(scope: Construct, existing: NonNullable<Settings['vpc']>): Network {
  const { vpcId, availabilityZones, isolatedSubnetIds } = existing;
  const vpc = Vpc.fromVpcAttributes(scope, 'Vpc', { vpcId, availabilityZones, isolatedSubnetIds });
  return { vpc, subnets: isolatedSubnetIds.map((id, i) => Subnet.fromSubnetId(scope, `Subnet${i}`, id)) };
}

function newNetwork(scope: Construct): Network {
  const vpc = new Vpc(scope, 'Vpc', {
    maxAzs: 2,
    natGateways: 0,
    restrictDefaultSecurityGroup: false,
    subnetConfiguration: [{ name: 'Isolated', subnetType: SubnetType.PRIVATE_ISOLATED, cidrMask: 24 }],
  });
  Validations.of(vpc).acknowledge({
    id: 'AwsSolutions-VPC7',
    reason:
      'The network has no route out and holds one cluster; the settings name the one group that may connect, if any.',
  });
  // exactOptionalPropertyTypes and the CDK's own declarations disagree about an optional property.
  return { vpc: vpc as IVpc, subnets: vpc.isolatedSubnets };
}
