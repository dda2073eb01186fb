import type { Command } from 'commander';
import { signedFetch } from '../../../api/signed-fetch.ts';
import { startConsole } from '../../../console/server/index.ts';
import { buildConsole } from '../../../local/start/index.ts';
import { addCommand, CliError, integerOption, registerAction } from '../../session/index.ts';

interface ConsoleOptions {
  readonly port: number;
}

/** Serves the web console to this machine only, with the operator's credentials. */
export function addConsole(program: Command): void {
  const command = addCommand(program, 'console', 'serve the web console on this machine, until Ctrl-C', [
    'paku-ota console',
    'paku-ota console --aws --profile vans --port 8482',
  ]).option('--port <port>', 'port on 127.0.0.1; 0 takes a free one', integerOption(0, 65_535), 0);
  registerAction<ConsoleOptions, []>(command, async (session, { port }) => {
    const { apiUrl, region, credentials, name } = session.target;
    const files = await buildConsole();
    const fetch = signedFetch(region, credentials);
    const running = await startConsole({ files, apiUrl, fetch, port }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE') throw error;
      throw new CliError(`port ${port} is in use by another program: choose another with --port, or leave it out`);
    });
    session.show({ url: running.url }, ({ url }) => [url]);
    session.note(
      `The console of ${name}. The address ends in its key: whoever has the key acts with your credentials.`,
    );
    await new Promise<void>((resolve) => {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, resolve);
    });
    await running.close();
  });
}
