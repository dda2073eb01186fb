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

/** The files of a worker share what they import: loading it again for each file took longer than its tests. */
const SHARE_IMPORTS = { isolate: false };
/** Tests that need a database, and tests that need templates, bundles and pages, say so in their names. */
const SQL = ['test/**/*.sql.test.ts'];
/** Each takes minutes on PGlite: they run on the server of TEST_DATABASE_URL, or everywhere with PAKU_OTA_LONG=1. */
const SLOW_ON_PGLITE = [
  'test/core/explain/preview-agreement.sql.test.ts',
  'test/core/rollouts/row-states.sql.test.ts',
  'test/core/orchestrator/failed-before.sql.test.ts',
  'test/tools/simulate/matrix.sql.test.ts',
];
const isPGlite = process.env.TEST_DATABASE_URL === undefined && process.env.PAKU_OTA_LONG === undefined;
const SYSTEM = ['test/system/**/*.test.ts', 'test/**/*.system.test.ts'];

const shared = {
  // A limit for what hangs, not a measure: a slow test on a busy machine is not a failure.
  testTimeout: 60_000,
  hookTimeout: 300_000,
  restoreMocks: true,
  unstubEnvs: true,
  unstubGlobals: true,
  setupFiles: ['test/support/each-file.ts'],
};

export default defineConfig({
  plugins: [sqlAsText],
  test: {
    // Stories mostly wait: for sockets, timers and processes of their own.
    maxWorkers: 3,
    projects: [
      {
        extends: true,
        test: {
          ...shared,
          ...SHARE_IMPORTS,
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: [...SQL, ...SYSTEM],
        },
      },
      {
        extends: true,
        test: {
          ...shared,
          ...SHARE_IMPORTS,
          name: 'sql',
          include: SQL,
          exclude: isPGlite ? SLOW_ON_PGLITE : [],
          globalSetup: ['test/support/template-database.ts'],
        },
      },
      {
        extends: true,
        test: {
          ...shared,
          ...SHARE_IMPORTS,
          name: 'system',
          include: SYSTEM,
          globalSetup: ['test/support/synthesize.ts', 'test/support/template-database.ts'],
        },
      },
    ],
  },
});
