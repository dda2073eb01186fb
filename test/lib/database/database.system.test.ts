import { describe, expect, test } from 'vitest';
import { REGIONAL_TYPES } from '../../../cli/commands/doctor/index.ts';
import { DATABASE_ENGINE } from '../../../core/db/index.ts';
import { propertiesOf, synthesize } from '../../support/lib/templates.ts';

const { dataTemplate, serviceTemplate } = synthesize();
const ingress = (template: typeof dataTemplate) => propertiesOf(template, 'AWS::EC2::SecurityGroupIngress');
const groups = (template: typeof dataTemplate) => JSON.stringify(template.findResources('AWS::EC2::SecurityGroup'));

describe('the database', () => {
  test('is an encrypted cluster that may pause, in a network without a route out', () => {
    dataTemplate.hasResourceProperties('AWS::RDS::DBCluster', {
      EnableHttpEndpoint: true,
      StorageEncrypted: true,
      ServerlessV2ScalingConfiguration: { MinCapacity: 0, MaxCapacity: 2, SecondsUntilAutoPause: 300 },
    });
    dataTemplate.resourceCountIs('AWS::EC2::NatGateway', 0);
    dataTemplate.resourceCountIs('AWS::EC2::InternetGateway', 0);
  });

  test('is of the version that doctor --before asks RDS for, and the types that it asks for are those of the stacks', () => {
    const { engine, version, instanceClass } = DATABASE_ENGINE;
    dataTemplate.hasResourceProperties('AWS::RDS::DBCluster', { Engine: engine, EngineVersion: version });
    dataTemplate.hasResourceProperties('AWS::RDS::DBInstance', { DBInstanceClass: instanceClass });
    const used = [dataTemplate, serviceTemplate].flatMap((template) =>
      Object.values(template.toJSON().Resources as Record<string, { Type: string }>).map(({ Type }) => Type),
    );
    const ofIot = used.filter((type) => type.startsWith('AWS::IoT::'));
    expect(REGIONAL_TYPES).toEqual(expect.arrayContaining([...new Set(ofIot)]));
    expect(used).toEqual(expect.arrayContaining([...REGIONAL_TYPES]));
  });

  test('is of the version that the settings name, which AWS may have withdrawn from creation otherwise', () => {
    const { dataTemplate: newer } = synthesize({ database: { engineVersion: '17.9' } });
    newer.hasResourceProperties('AWS::RDS::DBCluster', { EngineVersion: '17.9' });
  });

  test('is reached only through the Data API by default', () => {
    expect(ingress(dataTemplate)).toEqual([]);
    expect(groups(dataTemplate)).not.toContain('SecurityGroupIngress');
  });

  test('admits the security group that the settings name, and outputs its host and port', () => {
    const { dataTemplate: opened } = synthesize({ database: { allowedSecurityGroupId: 'sg-0123456789abcdef0' } });
    const port = { 'Fn::GetAtt': ['DatabaseCluster5B53A178', 'Endpoint.Port'] };
    expect(ingress(opened)).toMatchObject([
      { IpProtocol: 'tcp', FromPort: port, ToPort: port, SourceSecurityGroupId: 'sg-0123456789abcdef0' },
    ]);
    opened.resourceCountIs('AWS::EC2::SecurityGroupEgress', 0);
    opened.hasOutput('DatabaseHost', {});
  });
});
