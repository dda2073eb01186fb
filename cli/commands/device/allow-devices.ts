import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { ExpectedDevice } from '../../../api/devices.ts';
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
  const add = addChange(
    group,
    'add',
    'let devices request a certificate, once each',
    [
      'paku-ota device allow add ESP32-20E955A0 ESP32-7D1165C4',
      'paku-ota device allow add ESP32-20E955A0 --model esp32-s3 --mac A0:B7:65:20:E9:55',
      'paku-ota device allow add --file serials.txt --model esp32-s3',
    ],
    'ids, one per line; with --model, each may be followed by a MAC address',
  );
  add
    .option('--model <model>', 'their model; it counts before what they report')
    .option('--mac <address>', 'the MAC address of one device; it counts before what it reports');
  addChange(
    group,
    'remove',
    'take devices off the list; their certificates stay',
    ['paku-ota device allow remove ESP32-20E955A0'],
    'ids, one per line',
  );
}

interface ChangeOptions {
  readonly file?: string;
  readonly model?: string;
  readonly mac?: string;
}

function addChange(
  group: Command,
  change: 'add' | 'remove',
  summary: string,
  examples: string[],
  ofFile: string,
): Command {
  const command = addCommand(group, change, summary, examples).argument('[device...]').option('--file <path>', ofFile);
  registerAction<ChangeOptions, [string[]]>(command, async (session, { file, model, mac }, named) => {
    if (mac !== undefined && (named.length !== 1 || file !== undefined)) {
      throw new CliError('--mac is for one device: name that device, without --file', EXIT.usage);
    }
    const lines = [...named.map((id) => (mac === undefined ? id : `${id} ${mac}`)), ...linesOf(file)];
    if (lines.length === 0) throw new CliError('name the devices: their ids, or --file', EXIT.usage);
    const devices = lines.map((line) => toEntry(line, model));
    const total = { added: 0, removed: 0 };
    for (let first = 0; first < devices.length; first += IDS_PER_CALL) {
      const some = devices.slice(first, first + IDS_PER_CALL);
      const changed = await session.api.changeAllowedDevices(
        change === 'add'
          ? { add: some }
          : { remove: some.map((entry) => (typeof entry === 'string' ? entry : entry.device_id)) },
      );
      total.added += changed.added;
      total.removed += changed.removed;
    }
    session.show(total, ({ added, removed }) => [
      change === 'add'
        ? `${count(added, 'device')} may ask for a certificate`
        : `${count(removed, 'device')} taken off`,
    ]);
  });
  return command;
}

/** An id, or an id and a MAC address with a space, a tab, a comma or a semicolon between them. */
function toEntry(line: string, model: string | undefined): string | ExpectedDevice {
  const [id = '', mac] = line.split(/[\s,;]+/);
  if (mac !== undefined && model === undefined) {
    throw new CliError(`"${line}" names a MAC address: name the model of the devices too, with --model`, EXIT.usage);
  }
  if (model === undefined) return id;
  return { device_id: id, device_model: model, ...(mac === undefined ? {} : { mac_address: mac }) };
}

const linesOf = (file: string | undefined): string[] =>
  file === undefined
    ? []
    : readFileSync(file, 'utf8')
        .split('\n')
        .map((line) => line.trim())
        .filter((line) => line !== '');
