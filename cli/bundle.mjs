import { existsSync, mkdirSync, readFileSync, renameSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** One folder below cli/, as the sources are, because modules find the root of the project by their own place. */
const FOLDER = fileURLToPath(new URL('dist/', import.meta.url));
const BUNDLE = `${FOLDER}main.mjs`;
/** The sources of the bundle, as a JSON list. */
const INPUTS = `${FOLDER}inputs.json`;

/**
 * Runs the program from one file, which starts in half a second; its sources take two. It is bundled again when a
 * source has changed. The sources run themselves where there is no esbuild, or no permission to write.
 */
export async function runProgram() {
  try {
    if (!isCurrent()) await bundle();
  } catch (error) {
    if (!['ERR_MODULE_NOT_FOUND', 'EACCES', 'EROFS'].includes(error.code)) throw error;
    const { register } = await import('tsx/esm/api');
    register();
    await import('./main.ts');
    return;
  }
  await import(pathToFileURL(BUNDLE).href);
}

function isCurrent() {
  if (!existsSync(BUNDLE) || !existsSync(INPUTS)) return false;
  const { mtimeMs } = statSync(BUNDLE);
  return JSON.parse(readFileSync(INPUTS, 'utf8')).every(
    (file) => (statSync(ROOT + file, { throwIfNoEntry: false })?.mtimeMs ?? Number.POSITIVE_INFINITY) < mtimeMs,
  );
}

async function bundle() {
  const began = new Date();
  const { build } = await import('esbuild');
  const { outputFiles, metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: ['cli/main.ts'],
    outdir: FOLDER,
    bundle: true,
    write: false,
    metafile: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    loader: { '.sql': 'text' },
    // Some packages are CommonJS and call `require` for modules of Node.
    banner: { js: `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);` },
    logLevel: 'error',
  });
  const sources = Object.keys(metafile.inputs).filter((file) => !file.includes('node_modules/'));
  mkdirSync(FOLDER, { recursive: true });
  replace(INPUTS, JSON.stringify([...sources, 'package-lock.json', 'cli/bundle.mjs']));
  replace(BUNDLE, outputFiles[0].text, began);
}

/** Another process may bundle or read at the same time. */
function replace(file, text, time = new Date()) {
  const made = `${file}.${process.pid}`;
  writeFileSync(made, text);
  // A source that is saved while esbuild runs must be newer than the bundle.
  utimesSync(made, time, time);
  renameSync(made, file);
}
