import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface TestStack {
  readonly Resources: Record<string, { Type: string; Properties?: object }>;
  readonly Outputs?: object;
}

/** Writes stacks and bundles like `cdk synth`. @returns the folder */
export async function writeCloudAssembly(
  stacks: Readonly<Record<string, TestStack>>,
  bundles: Readonly<Record<string, string>> = {},
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'paku-assembly-'));
  const artifacts: Record<string, object> = {};
  for (const [name, template] of Object.entries(stacks)) {
    const templateFile = `${name}.template.json`;
    await writeFile(join(folder, templateFile), JSON.stringify(template));
    artifacts[name] = { type: 'aws:cloudformation:stack', properties: { templateFile } };
  }
  for (const [hash, source] of Object.entries(bundles)) {
    await mkdir(join(folder, `asset.${hash}`));
    await writeFile(join(folder, `asset.${hash}`, 'index.mjs'), source);
  }
  await writeFile(join(folder, 'manifest.json'), JSON.stringify({ artifacts }));
  return folder;
}
