/**
 * Regions in which CloudFormation does not have AWS::IoT::ThingType, AWS::IoT::ThingGroup and
 * AWS::IoT::ProvisioningTemplate, so that no deployment is possible. By CloudFormation's resource schemas of each region,
 * as cfn-lint 1.58.0 has them; `test/lib/stacks/cfn-lint.system.test.ts` compares the list with it.
 */
export const REGIONS_WITHOUT_IOT_TYPES = [
  'af-south-1',
  'ap-east-2',
  'ap-northeast-3',
  'ap-south-2',
  'ap-southeast-3',
  'ap-southeast-4',
  'ap-southeast-6',
  'ap-southeast-7',
  'ca-west-1',
  'eu-central-2',
  'mx-central-1',
] as const;

/** @throws Error if the service cannot be deployed to the region; undefined: the region is not known yet */
export function checkRegion(region: string | undefined): void {
  if (!REGIONS_WITHOUT_IOT_TYPES.some((name) => name === region)) return;
  throw new Error(
    `CloudFormation has no AWS::IoT::ThingType in ${region}, so the service cannot be deployed there. Choose another region with AWS_REGION or a profile; not possible are ${REGIONS_WITHOUT_IOT_TYPES.join(', ')}.`,
  );
}
