import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import {
  addCommand,
  addGroup,
  addPaging,
  CliError,
  EXIT,
  noteMore,
  type PagingOptions,
  readPages,
  registerAction,
} from '../../session/index.ts';
import { allowedTable, count } from '../../text/index.ts';

/** The most ids that the API accepts in a call. */
const IDS_PER_CALL = 1000;

export function addDeviceAllow(parent: Command): void {
  const group = addGroup(parent, 'allow', 'devices that may ask for a certificate by provisioning claim');
  const list = addCommand(group, 'list', 'the devices that may request a certificate, and those that have', [
    'paku-ota device allow list',
  ]);
  registerAction<PagingOptions, []>(addPaging(list), async (session, options) => {
    const page = await readPages(options, (query) => session.api.allowedDevices(query));
    session.show(page, ({ items }) => allowedTable(items, new Date()));
    noteMore(session, page);
  });
  addChange(group, 'add', 'let devices request a certificate, once each', [
    'paku-ota device allow add ESP32-20E955A0 ESP32-7D1165C4',
    'paku-ota device allow add --file serials.txt',
  ]);
  addChange(group, 'remove', 'take devices off the list; their certificates stay', [
    'paku-ota device allow remove ESP32-20E955A0',
  ]);
}

function addChange(group: Command, change: 'add' | 'remove', summary: string, examples: string[]): void {
  const command = addCommand(group, change, summary, examples)
    .argument('[device...]')
    .option('--file <path>', 'ids, one per line');
  registerAction<{ file?: string }, [string[]]>(command, async (session, { file }, named) => {
    const ids = [...named, ...(file === undefined ? [] : readIds(file))];
    if (ids.length === 0) throw new CliError('name the devices: their ids, or --file', EXIT.usage);
    const total = { added: 0, removed: 0 };
    for (let first = 0; first < ids.length; first += IDS_PER_CALL) {
      const changed = await session.api.changeAllowedDevices({ [change]: ids.slice(first, first + IDS_PER_CALL) });
      total.added += changed.added;
      total.removed += changed.removed;
    }
    session.show(total, ({ added, removed }) => [
      change === 'add'
        ? `${count(added, 'device')} may ask for a certificate`
        : `${count(removed, 'device')} taken off`,
    ]);
  });
}

const readIds = (file: string): string[] =>
  readFileSync(file, 'utf8')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
