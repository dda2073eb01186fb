import { readFile } from 'node:fs/promises';
import { defineConfig } from 'vitest/config';

/** The bundles import migrations as text (esbuild's `text` loader); tests get the same through this plugin. */
const sqlAsText = {
  name: 'sql-as-text',
  async load(id: string) {
    if (!id.endsWith('.sql')) return null;
    return `export default ${JSON.stringify(await readFile(id, 'utf8'))};`;
  },
};

export default defineConfig({
  plugins: [sqlAsText],
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/synthesize.ts'],
    // Stories mostly wait: for sockets, timers and processes of their own.
    maxWorkers: 3,
    // A limit for what hangs, not a measure: a busy machine is no failure.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    restoreMocks: true,
  },
});
