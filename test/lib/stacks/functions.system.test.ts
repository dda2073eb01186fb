import { describe, expect, test } from 'vitest';
import { resources, synthesize } from '../../support/lib/templates.ts';

const { data, service, serviceTemplate } = synthesize();

describe('functions', () => {
  const functions = resources(serviceTemplate, 'AWS::Lambda::Function');

  test('run on nodejs24.x and arm64 with tracing, each with its own role and log group', () => {
    expect(functions).toHaveLength(9);
    for (const [, { Properties }] of functions) {
      expect(Properties).toMatchObject({
        Runtime: 'nodejs24.x',
        Architectures: ['arm64'],
        TracingConfig: { Mode: 'Active' },
        Handler: 'index.handler',
      });
    }
    const distinct = (property: string) =>
      new Set(functions.map(([, { Properties }]) => JSON.stringify(Properties[property]))).size;
    expect(distinct('Role')).toBe(functions.length);
    expect(distinct('LoggingConfig')).toBe(functions.length);
    serviceTemplate.allResourcesProperties('AWS::Logs::LogGroup', { RetentionInDays: 30 });
  });

  test('are deployed after the migration, which CloudFormation gives up on after the timeout of its function', () => {
    const others = functions.filter(([id]) => !id.startsWith('Migration'));
    for (const [id, { DependsOn = [] }] of others) expect(DependsOn, id).toContain('MigrationC13A4580');
    serviceTemplate.hasResourceProperties('Custom::PakuOtaMigration', { ServiceTimeout: '600' });
  });

  test.each([true, false])(
    'that start and run rollouts are told whether requireApproval is set: %s',
    (requireApproval) => {
      const { serviceTemplate: template } = synthesize({ requireApproval });
      const told = resources(template, 'AWS::Lambda::Function').flatMap(([id, { Properties }]) => {
        const { Environment } = Properties as { Environment?: { Variables: Record<string, unknown> } };
        const value = Environment?.Variables.REQUIRE_APPROVAL;
        return value === undefined ? [] : [[id.replace(/Function.*|[0-9A-F]{8}$/, ''), value]];
      });
      expect(Object.fromEntries(told)).toEqual({
        OperatorApi: String(requireApproval),
        Orchestrate: String(requireApproval),
      });
    },
  );

  test('are deployed after the data stack', () => {
    expect(service.dependencies).toContain(data);
  });
});
