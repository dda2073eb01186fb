import { cpSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { nameOf, readTemplate, resourcesOf, templatesIn } from './templates.ts';

/**
 * Writes a cloud assembly like the new one in which some functions have the bundles of the old one, as in an account
 * during a deployment.
 * @param names the functions with old bundles
 * @returns those whose bundles differ
 * @throws Error for a function that one of the assemblies lacks
 */
export function mixAssemblies(old: string, fresh: string, names: readonly string[], folder: string): string[] {
  cpSync(fresh, folder, { recursive: true });
  for (const asset of readdirSync(old).filter((entry) => entry.startsWith('asset.'))) {
    cpSync(join(old, asset), join(folder, asset), { recursive: true });
  }
  const code = codeOf(old);
  const differing: string[] = [];
  const left = new Set(names);
  for (const file of templatesIn(folder)) {
    const template = readTemplate(folder, file);
    for (const [logicalId, { Properties }] of Object.entries(template.Resources)) {
      const S3Key = code.get(logicalId);
      if (Properties === undefined || S3Key === undefined || !left.delete(nameOf(logicalId))) continue;
      if (Properties.Code?.S3Key !== S3Key) differing.push(nameOf(logicalId));
      Properties.Code = { ...Properties.Code, S3Key };
    }
    writeFileSync(join(folder, file), JSON.stringify(template));
  }
  if (left.size > 0) throw new Error(`not functions of both versions: ${[...left].join(', ')}`);
  return differing;
}

/** The asset of the code of each function, by logical id. */
function codeOf(assembly: string): ReadonlyMap<string, string> {
  const functions = Object.entries(resourcesOf(assembly)).filter(([, { Type }]) => Type === 'AWS::Lambda::Function');
  return new Map(functions.map(([logicalId, { Properties }]) => [logicalId, String(Properties?.Code?.S3Key)]));
}
