import { App } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { DataStack } from '../../../lib/data-stack.ts';
import { ServiceStack } from '../../../lib/service-stack.ts';
import { parseSettings } from '../../../lib/settings.ts';

/** Templates without bundling: what is looked at here is not the code. */
export function synthesize(input: object = {}) {
  const app = new App({ context: { 'aws:cdk:bundling-stacks': [] } });
  const settings = parseSettings(input);
  const data = new DataStack(app, 'PakuOtaData', { settings });
  const service = new ServiceStack(app, 'PakuOta', { settings, data });
  return { data, service, dataTemplate: Template.fromStack(data), serviceTemplate: Template.fromStack(service) };
}

/** Logical ids and resources of a type. */
export const resources = (template: Template, type: string) =>
  Object.entries(template.findResources(type)) as [
    string,
    { Properties: Record<string, unknown>; DependsOn?: string[] },
  ][];
