import { type Command, Option } from 'commander';
import { ApiError } from '../../../api/client.ts';
import { draftForDevice } from '../../../api/device-draft.ts';
import type { Session } from '../../session/index.ts';
import {
  addCommand,
  addGroup,
  addPaging,
  CliError,
  confirmOrStop,
  integerOption,
  noteMore,
  type PagingOptions,
  readAttributes,
  readPages,
  registerAction,
  timeOption,
} from '../../session/index.ts';
import { deviceTable, deviceText, explanationText, printable, timelineTable } from '../../text/index.ts';
import { addDeviceAccept } from './accept-device.ts';
import { addDeviceAdd } from './add-device.ts';
import { addDeviceAllow } from './allow-devices.ts';
import { askReach } from './ask-reach.ts';
import { addDeviceGroup } from './device-groups.ts';
import { addDeviceReinstate, addDeviceRevoke } from './revoke-device.ts';

export function addDeviceCommands(program: Command): void {
  const group = addGroup(program, 'device', 'devices: certificates, state, groups, updates of one');
  addDeviceAdd(group);
  addList(group);
  addShow(group);
  addTimeline(group);
  addExplain(group);
  addDeviceGroup(group);
  addAttributes(group);
  addUpdate(group);
  addDeviceAccept(group);
  addDeviceRevoke(group);
  addDeviceReinstate(group);
  addDeviceAllow(group);
}

interface ListOptions extends PagingOptions {
  readonly search?: string;
  readonly model?: string;
  readonly version?: string;
  readonly group?: string;
  readonly attribute?: string;
  readonly fact?: string;
  readonly online?: boolean;
  readonly offline?: boolean;
  readonly updating?: boolean;
  readonly revoked?: boolean;
  readonly notSeenSince?: string;
}

function addList(group: Command): void {
  const command = addCommand(group, 'list', 'devices in the order of their ids', [
    'paku-ota device list --group vans --updating',
    'paku-ota device list --search 20E9',
    "paku-ota device list --attribute site=rome --fact 'battery_percent<=20'",
    'paku-ota device list --model esp32-s3 --version 1.1.0 --json',
  ])
    .option('--search <text>', 'start of an id, of its last part, or of a MAC address')
    .option('--model <model>', 'devices of this model')
    .option('--version <version>', 'devices on this version')
    .option('--group <group>', 'devices of this group')
    .option('--attribute <name=value>', 'devices with this attribute')
    .option('--fact <condition>', 'devices that state this: board_revision=C or battery_percent<=20')
    .option('--online', 'online devices, by their last message and reporting habit')
    .addOption(new Option('--offline', 'devices that are not online').conflicts('online'))
    .option('--updating', 'devices with an open update')
    .option('--revoked', 'devices whose identity was revoked')
    .option('--no-revoked', 'devices whose identity was not revoked')
    .option('--not-seen-since <time>', 'devices that were not heard of since this time', timeOption);
  registerAction<ListOptions, []>(addPaging(command), async (session, options) => {
    const {
      search,
      model,
      version,
      group: inGroup,
      attribute,
      fact,
      updating,
      revoked,
      notSeenSince: not_seen_since,
    } = options;
    const online = options.online ?? (options.offline ? false : undefined);
    const filter = {
      search,
      model,
      version,
      group: inGroup,
      attribute,
      fact,
      online,
      updating,
      revoked,
      not_seen_since,
    };
    const page = await readPages(options, (query) => session.api.devices({ ...query, ...filter }));
    session.show(page, ({ items }) => deviceTable(items, new Date()));
    noteMore(session, page);
  });
}

function addShow(group: Command): void {
  const command = addCommand(group, 'show', 'one device', ['paku-ota device show ESP32-20E955A0']).argument('<device>');
  registerAction<object, [string]>(command, async (session, _, id) => {
    session.show(await withSuggestion(session, id, session.api.device(id)), (device) => deviceText(device, new Date()));
    session.note(`\nWhat happened to it: paku-ota device timeline ${id}. Why: paku-ota device explain ${id}`);
  });
}

/** The result of a call about a device; when the id is unknown but is part of one other id, the error suggests that id. */
async function withSuggestion<T>({ api }: Session, id: string, call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (!(error instanceof ApiError && error.problem.status === 404)) throw error;
    const [found, ...more] = (await api.devices({ search: id, limit: 2 })).items;
    if (found === undefined || found.device_id === id || more.length > 0) throw error;
    throw new CliError(`there is no device ${id}; did you mean ${found.device_id}?`);
  }
}

function addTimeline(group: Command): void {
  const command = addCommand(group, 'timeline', 'everything that happened to a device, the newest first', [
    'paku-ota device timeline ESP32-20E955A0 --limit 20',
  ])
    .argument('<device>')
    .option('--limit <n>', 'maximum number of rows', integerOption(1, 200), 50)
    .option('--before <time>', 'only events before this time', timeOption);
  registerAction<{ limit: number; before?: string }, [string]>(command, async (session, { limit, before }, id) => {
    const timeline = session.api.deviceTimeline(id, { limit, before });
    session.show(await withSuggestion(session, id, timeline), ({ items }) => timelineTable(items));
  });
}

function addExplain(group: Command): void {
  const command = addCommand(group, 'explain', 'why a device is, or is not, on a version, and what happens next', [
    'paku-ota device explain ESP32-20E955A0',
    'paku-ota device explain ESP32-20E955A0 --version 2.4.0',
  ])
    .argument('<device>')
    .option(
      '--rollout <rollout>',
      'id or name (default: the rollout that updates the device, else the newest that targets it)',
    )
    .option('--version <version>', 'explain the newest rollout of this version');
  registerAction<{ rollout?: string; version?: string }, [string]>(
    command,
    async (session, { rollout, version }, id) => {
      const question = { ...(rollout !== undefined && { rollout }), ...(version !== undefined && { version }) };
      const explained = withSuggestion(session, id, session.api.explain(id, question));
      session.show(await explained, (answer) => explanationText(answer, new Date()));
    },
  );
}

function addAttributes(group: Command): void {
  const command = addCommand(
    group,
    'attributes',
    'set attributes, by which rollouts select devices; an empty value removes one',
    [
      'paku-ota device attributes ESP32-20E955A0 site=rome year=2024',
      'paku-ota device attributes ESP32-20E955A0 site=',
    ],
  )
    .argument('<device>')
    .argument('<name=value...>')
    .option('--yes', 'do not ask, also if a rollout then sends to it');
  registerAction<{ yes?: boolean }, [string, string[]]>(command, async (session, { yes = false }, id, pairs) => {
    const metadata = readAttributes(pairs);
    await askReach(session, [{ device_ids: [id], metadata }], yes);
    session.show(await session.api.setAttributes(id, metadata), (device) => deviceText(device, new Date()));
  });
}

interface UpdateOptions {
  readonly version: string;
  readonly allowDowngrade?: boolean;
  readonly yes?: boolean;
}

function addUpdate(group: Command): void {
  const command = addCommand(group, 'update', 'send one release to one device, ahead of any rollout', [
    'paku-ota device update ESP32-20E955A0 --version 2.1.0',
  ])
    .argument('<device>')
    .requiredOption('--version <version>', 'a registered release of its model')
    .option('--allow-downgrade', 'also if the device runs a newer version')
    .option('--yes', 'do not ask');
  registerAction<UpdateOptions, [string]>(
    command,
    async (session, { version, allowDowngrade = false, yes = false }, id) => {
      const device = await withSuggestion(session, id, session.api.device(id));
      const { current_firmware_version: current, device_model: model, model_is_assumed: isAssumed } = device;
      const warning = isAssumed ? ` Its model was never stated: this is an image for the assumed model, ${model}.` : '';
      const wait = device.holds.map(({ text }) => ` It is sent nothing before this ends: ${text}.`).join('');
      const preview = printable(await session.api.previewRollout(draftForDevice(device, version, allowDowngrade)));
      const refused = preview.will_not.map(({ reason }) => ` It would be refused: ${reason}.`).join('');
      await confirmOrStop(
        `Send ${version} to ${id} on ${session.target.name}? It runs ${current}.${refused}${warning}${wait}`,
        yes,
      );
      const body = { firmware_version: version, allow_downgrade: allowDowngrade };
      session.show(await session.api.updateDevice(id, body), ({ name, firmware_version, approval }) => [
        approval === null
          ? `${id} will get ${firmware_version} from rollout "${name}". Watch it: paku-ota rollout watch "${name}"`
          : `${id} gets ${firmware_version} once a second person approves it: paku-ota rollout approve "${name}" --reason "…"`,
      ]);
    },
  );
}
