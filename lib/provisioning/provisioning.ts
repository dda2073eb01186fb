import { Duration, Stack } from 'aws-cdk-lib';
import { type CfnPolicy, CfnProvisioningTemplate } from 'aws-cdk-lib/aws-iot';
import { CfnPermission } from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';
import { DatabaseFunction, type ServiceBase } from '../database/index.ts';
import { ownMetric } from '../monitoring/index.ts';
import { iotArn } from '../shared/index.ts';
import { claimStatements } from './claim-policy.ts';
import { type DeviceIdentity, keepWithDevices } from './device-identity.ts';
import { iotPolicy } from './iot-policy.ts';
import { registrationRole } from './registration-role.ts';
import { thingTemplate } from './thing-template.ts';

/** AWS IoT waits no longer for the function that it asks (IoT developer guide, "Pre-provisioning hooks"). */
const HOOK_TIMEOUT = Duration.seconds(5);

export interface ProvisioningProps {
  readonly base: ServiceBase;
  readonly identity: DeviceIdentity;
}

/**
 * Fleet provisioning by claim: a device that has only a claim certificate requests a certificate of its own. The claim
 * allows nothing else, and a function refuses devices that are not on the list of allowed devices.
 */
export class Provisioning extends Construct {
  readonly fn: DatabaseFunction;
  readonly template: CfnProvisioningTemplate;
  readonly claimPolicy: CfnPolicy;

  constructor(scope: Construct, id: string, { base, identity }: ProvisioningProps) {
    super(scope, id);
    this.fn = new DatabaseFunction(this, 'Hook', {
      name: 'provisioning-hook',
      role: 'public',
      base,
      timeout: HOOK_TIMEOUT,
      memorySize: 512,
    });
    // The policy and the permission refer to the template before it exists, so its name is chosen here.
    const templateName = `${Stack.of(this).stackName}-devices`;
    const permission = new CfnPermission(this, 'HookPermission', {
      action: 'lambda:InvokeFunction',
      functionName: this.fn.functionArn,
      principal: 'iot.amazonaws.com',
      sourceAccount: Stack.of(this).account,
      sourceArn: iotArn(this, 'provisioningtemplate', templateName),
    });
    this.template = new CfnProvisioningTemplate(this, 'Template', {
      templateName,
      description: 'Gives an allowed device a certificate of its own',
      enabled: true,
      provisioningRoleArn: registrationRole(this, identity).roleArn,
      preProvisioningHook: { payloadVersion: '2020-04-01', targetArn: this.fn.functionArn },
      templateBody: Stack.of(this).toJsonString(thingTemplate(identity)),
    });
    this.template.addResourceDependency(permission);
    base.alarms.add(this, 'ExtraCertificatesAlarm', {
      metric: ownMetric(this, 'extraCertificates', Duration.hours(1)),
      description: 'A device got a second certificate by a provisioning claim.',
      section: 'extra-certificates',
    });
    this.claimPolicy = iotPolicy(this, 'ClaimPolicy', claimStatements(templateName), 'shorten the name of the stack');
    keepWithDevices(this.claimPolicy);
  }
}
