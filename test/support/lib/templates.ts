import { App } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { parseSettings } from '../../../lib/settings/index.ts';
import { deployment } from '../../../lib/stacks/index.ts';

/** Both stacks and their templates, without bundles: tests of templates do not look at code. */
export function synthesize(input: object = {}) {
  const app = new App({ context: { 'aws:cdk:bundling-stacks': [] } });
  const settings = parseSettings(input);
  const { data, service } = deployment(app, settings);
  return { data, service, dataTemplate: Template.fromStack(data), serviceTemplate: Template.fromStack(service) };
}

export interface Resource {
  readonly Properties: Record<string, unknown>;
  readonly DependsOn?: string[];
}

/** Logical id and definition of each resource of a type. */
export const resources = (template: Template, type: string) =>
  Object.entries(template.findResources(type)) as [logicalId: string, Resource][];

/** Properties of each resource of a type. */
export const propertiesOf = (template: Template, type: string) =>
  resources(template, type).map(([, { Properties }]) => Properties);

export interface Statement {
  readonly Effect: string;
  readonly Principal?: unknown;
  readonly Action: string | string[];
  readonly Resource: unknown;
  readonly Condition?: Record<string, Record<string, unknown>>;
}

/** Statements of the policy document of each resource of a type. */
export const statementsOf = (template: Template, type: string): Statement[][] =>
  propertiesOf(template, type).map(({ PolicyDocument }) => (PolicyDocument as { Statement: Statement[] }).Statement);
