import type { Command } from 'commander';
import type { NewHold } from '../../../api/holds.ts';
import {
  addCommand,
  addGroup,
  addPaging,
  CliError,
  confirmOrStop,
  EXIT,
  noteMore,
  type PagingOptions,
  readPages,
  registerAction,
  type Session,
  timeOption,
} from '../../session/index.ts';
import { count, holdEffectText, holdTable, holdText, printable, reachText } from '../../text/index.ts';

interface HoldOptions {
  readonly reason: string;
  readonly from?: string;
  readonly until?: string;
  readonly yes?: boolean;
}

const STOP_REASON = 'stopped with paku-ota stop';

/** Holds, and the one command that stops everything that sends. */
export function addHolds(program: Command): void {
  addStop(program);
  const group = addGroup(program, 'hold', 'holds: devices, groups or the whole service are sent nothing');
  addList(group);
  addAdd(group);
  addRemove(group);
}

function addStop(program: Command): void {
  const command = addCommand(program, 'stop', 'stop everything that sends: hold the whole service', [
    'paku-ota stop',
    'paku-ota stop --reason "devices restart since noon" --yes',
  ])
    .option('--reason <text>', 'kept in the history', STOP_REASON)
    .option('--until <time>', 'when the hold ends by itself (default: when it is removed)', timeOption)
    .option('--yes', 'do not ask');
  registerAction<HoldOptions, []>(command, (session, options) => set(session, { scope: 'service' }, options));
}

function addAdd(group: Command): void {
  const command = addCommand(group, 'add', 'hold a device, a group, or the whole service', [
    'paku-ota hold add --device ESP32-20E955A0 --reason "at a fair"',
    'paku-ota hold add --group vans --reason "holidays" --from 2026-12-20T18:00:00Z --until 2027-01-07T06:00:00Z',
    'paku-ota hold add --service --reason "change of the brokers"',
  ])
    .option('--device <device>', 'this device')
    .option('--group <group>', 'every device of this group, also those that join it later')
    .option('--service', 'every device')
    .requiredOption('--reason <text>', 'kept in the history')
    .option('--from <time>', 'when the hold begins (default: now)', timeOption)
    .option('--until <time>', 'when the hold ends by itself (default: when it is removed)', timeOption)
    .option('--yes', 'do not ask');
  registerAction<HoldOptions & { device?: string; group?: string; service?: true }, []>(
    command,
    async (session, { device, group: name, service, ...options }) => {
      const targets: Pick<NewHold, 'scope' | 'device_id' | 'group_name'>[] = [
        ...(device === undefined ? [] : [{ scope: 'device', device_id: device } as const]),
        ...(name === undefined ? [] : [{ scope: 'group', group_name: name } as const]),
        ...(service ? [{ scope: 'service' } as const] : []),
      ];
      const [target, ...others] = targets;
      if (target === undefined || others.length > 0) {
        throw new CliError('name one of --device, --group and --service', EXIT.usage);
      }
      await set(session, target, options);
    },
  );
}

async function set(
  session: Session,
  { scope, ...named }: Pick<NewHold, 'scope' | 'device_id' | 'group_name'>,
  { reason, from, until, yes = false }: HoldOptions,
): Promise<void> {
  // With --yes nothing is asked that could fail: the hold itself answers with its numbers.
  if (!yes) session.note(holdEffectText(await session.api.previewHold(named)).join('\n'));
  const what = named.device_id ?? (named.group_name === undefined ? 'the whole service' : `group ${named.group_name}`);
  const start = from === undefined ? '' : ` from ${from}`;
  await confirmOrStop(`Hold ${what}${start} on ${session.target.name}?`, yes);
  const hold = {
    scope,
    ...named,
    reason,
    ...(from !== undefined && { starts_at: from }),
    ...(until !== undefined && { ends_at: until }),
  };
  session.show(await session.api.setHold(hold), holdText);
}

function addList(group: Command): void {
  const command = addCommand(group, 'list', 'holds in force and planned holds, the newest first', [
    'paku-ota hold list',
    'paku-ota hold list --ended',
  ]).option('--ended', 'those that have ended');
  registerAction<PagingOptions & { ended?: true }, []>(addPaging(command), async (session, options) => {
    const state = options.ended ? 'ended' : 'not_ended';
    const page = await readPages(options, (query) => session.api.holds({ ...query, state }));
    session.show(page, ({ items }) => holdTable(items, new Date()));
    noteMore(session, page);
  });
}

function addRemove(group: Command): void {
  const command = addCommand(group, 'remove', 'remove a hold: what waits for it is sent', [
    'paku-ota hold remove 3 --reason "the fair is over"',
  ])
    .argument('<hold>', 'its id, as hold list shows it')
    .requiredOption('--reason <text>', 'kept in the history')
    .option('--yes', 'do not ask');
  registerAction<{ reason: string; yes?: boolean }, [string]>(command, async (session, { reason, yes = false }, id) => {
    if (!/^\d{1,18}$/.test(id))
      throw new CliError(`"${id}" is not the id of a hold; paku-ota hold list shows them`, EXIT.usage);
    const hold = printable(await session.api.hold(id));
    if (hold.ended_at !== null) throw new CliError(`hold ${id} ended at ${hold.ended_at}: there is nothing to remove`);
    session.note([hold.text, ...reachText(hold.reached_by)].join('\n'));
    const updates = hold.reached_by.reduce((sum, { devices }) => sum + devices, 0);
    await confirmOrStop(
      `Remove hold ${id} on ${session.target.name}, which lets ${count(updates, 'update')} be sent?`,
      yes,
    );
    session.show(await session.api.removeHold(id, reason), (removed) => [
      `Hold ${removed.hold_id} has ended.`,
      ...reachText(removed.reached_by),
    ]);
  });
}
