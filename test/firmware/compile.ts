import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

const HOST = new URL('host/', import.meta.url).pathname;
const EXAMPLES = new URL('../../docs/devices/', import.meta.url).pathname;
const WARNINGS = ['-Wall', '-Wextra', '-Werror', '-O1'];
const LIBRARIES = ['-lmbedtls', '-lmbedx509', '-lmbedcrypto', '-lcjson', '-lpthread'];

/** What must be installed to compile firmware for this machine, and is not. */
export function missingTools(): string[] {
  const probe =
    '#include <cjson/cJSON.h>\n#include <mbedtls/ssl.h>\n#include <psa/crypto.h>\nint main(void) { return 0; }';
  const { status } = spawnSync('g++', ['-fsyntax-only', '-x', 'c++', '-'], { input: probe });
  return status === 0 ? [] : ['g++, libmbedtls-dev and libcjson-dev (Debian)'];
}

export interface Source {
  readonly file: string;
  readonly defines?: Readonly<Record<string, string | number>>;
  /** A folder with further headers. */
  readonly include?: string;
}

/** Compiles C, C++ and sketches with all warnings as errors, and links them into programs for this machine. */
export class Compiler {
  readonly folder = mkdtempSync(join(tmpdir(), 'paku-ota-firmware-'));
  #count = 0;

  /** @throws Error with the compiler's messages */
  compile({ file, defines = {}, include }: Source): string {
    const object = join(this.folder, `${this.#count++}-${basename(file)}.o`);
    const isC = file.endsWith('.c');
    const language = isC ? ['-x', 'c', '-std=gnu11'] : ['-x', 'c++', '-std=gnu++17'];
    const sketch = file.endsWith('.ino') ? ['-include', 'Arduino.h'] : [];
    run(isC ? 'gcc' : 'g++', [
      ...WARNINGS,
      ...language,
      ...sketch,
      ...Object.entries(defines).map(
        ([name, value]) => `-D${name}=${typeof value === 'string' ? `"${value}"` : value}`,
      ),
      ...['-I', HOST, '-I', EXAMPLES, '-I/usr/include/cjson', ...(include === undefined ? [] : ['-I', include])],
      ...['-c', file, '-o', object],
    ]);
    return object;
  }

  link(objects: readonly string[]): Buffer {
    const program = join(this.folder, `${this.#count++}.elf`);
    run('g++', ['-s', ...objects, '-o', program, ...LIBRARIES]);
    return readFileSync(program);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** A source file of a test's own. */
  write(name: string, text: string): string {
    const file = join(this.folder, name);
    writeFileSync(file, text);
    return file;
  }
}

export const host = (file: string): string => join(HOST, file);
export const example = (file: string): string => join(EXAMPLES, file);

function run(program: string, args: readonly string[]): void {
  try {
    execFileSync(program, args, { stdio: 'pipe' });
  } catch (error) {
    const { stderr } = error as { stderr?: Buffer };
    throw new Error(`${program} ${args.join(' ')}\n${stderr?.toString() ?? error}`);
  }
}
