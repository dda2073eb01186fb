import { describe, expect, test } from 'vitest';
import { FIXED } from '../../../cli/commands/cost/index.ts';
import { resources, synthesize } from '../../support/lib/templates.ts';

const { data, dataTemplate } = synthesize();
const HOLDING_DATA = ['AWS::RDS::DBCluster', 'AWS::S3::Bucket', 'AWS::SecretsManager::Secret'];

describe('resources that hold data', () => {
  test('keep their logical ids, because CloudFormation replaces a resource whose id changes', () => {
    const ids = HOLDING_DATA.flatMap((type) => resources(dataTemplate, type).map(([id]) => id));
    expect(ids).toEqual([
      'DatabaseCluster5B53A178',
      'FirmwareBucket59E574FA',
      'PakuOtaDataDatabaseClusterSecretA6485E7F3fdaad7efa858a3daf9490cf0a702aeb',
      'DatabasePublicSecretC28A4457',
      'DatabaseIngestSecretEEB5FBFB',
      'DatabaseControlSecret36CC7257',
      'LinkSecret6774D112',
    ]);
  });

  test('are counted in the projected cost as far as they are secrets', () => {
    dataTemplate.resourceCountIs('AWS::SecretsManager::Secret', FIXED.secrets);
  });

  test('are kept when their stack is deleted, and deleted when its first deployment fails', () => {
    expect(data.terminationProtection).toBeFalsy();
    for (const type of HOLDING_DATA) {
      dataTemplate.allResources(type, { DeletionPolicy: 'RetainExceptOnCreate', UpdateReplacePolicy: 'Retain' });
    }
    const [[, cluster] = []] = resources(dataTemplate, 'AWS::RDS::DBCluster');
    expect(cluster?.Properties.DeletionProtection).toBeUndefined();
  });

  test('are deleted with their stack if the settings ask for it', () => {
    const { dataTemplate: destroyed } = synthesize({ dataRemovalPolicy: 'destroy' });
    destroyed.allResources('AWS::S3::Bucket', { DeletionPolicy: 'Delete' });
  });
});
