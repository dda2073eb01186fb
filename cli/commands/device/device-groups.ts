import type { Command } from 'commander';
import { addCommand, addGroup, registerAction } from '../../session/index.ts';
import { count, groupTable } from '../../text/index.ts';
import { askReach } from './ask-reach.ts';

export function addDeviceGroup(parent: Command): void {
  const group = addGroup(parent, 'group', 'groups of devices, which rollouts can be for');
  const list = addCommand(group, 'list', 'groups with their number of devices', ['paku-ota device group list']);
  registerAction<object, []>(list, async (session) => {
    session.show(await session.api.groups(), ({ items }) => groupTable(items));
  });
  addChange(group, 'add', 'put devices into a group', 'paku-ota device group add vans ESP32-20E955A0 ESP32-7D1165C4');
  addChange(group, 'remove', 'take devices out of a group', 'paku-ota device group remove vans ESP32-20E955A0');
}

function addChange(group: Command, change: 'add' | 'remove', summary: string, example: string): void {
  const command = addCommand(group, change, summary, [example])
    .argument('<group>')
    .argument('<device...>')
    .option('--yes', 'do not ask, also if a rollout then sends to them');
  registerAction<{ yes?: boolean }, [string, string[]]>(command, async (session, { yes = false }, name, devices) => {
    const groups = change === 'add' ? { join_groups: [name] } : { leave_groups: [name] };
    await askReach(session, [{ device_ids: devices, ...groups }], yes);
    session.show(await session.api.changeGroup(name, { [change]: devices }), (changed) => [
      `${changed.group_name}: ${count(changed.devices, 'device')}`,
    ]);
  });
}
