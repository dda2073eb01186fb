import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Resource {
  readonly Type: string;
  readonly Properties?: {
    Code?: { S3Key?: string };
    readonly Environment?: { readonly Variables?: Readonly<Record<string, unknown>> };
    readonly EventSourceArn?: unknown;
    readonly FunctionName?: unknown;
  };
}

export interface Template {
  readonly Resources: Readonly<Record<string, Resource>>;
}

export const templatesIn = (assembly: string) =>
  readdirSync(assembly).filter((file) => file.endsWith('.template.json'));

export const readTemplate = (assembly: string, file: string) =>
  JSON.parse(readFileSync(join(assembly, file), 'utf8')) as Template;

/** The resources of all templates, by logical id. */
export const resourcesOf = (assembly: string): Readonly<Record<string, Resource>> =>
  Object.fromEntries(templatesIn(assembly).flatMap((file) => Object.entries(readTemplate(assembly, file).Resources)));

/** The logical id without its hash. */
export const nameOf = (logicalId: string) => logicalId.replace(/[0-9A-F]{8}$/, '');
