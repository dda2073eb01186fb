import type { Command } from 'commander';
import { addCommand, CliError, confirmOrStop, registerAction, type Session } from '../../session/index.ts';
import { count, deviceText } from '../../text/index.ts';

interface AcceptOptions {
  readonly reason: string;
  readonly yes?: boolean;
}

export function addDeviceAccept(group: Command): void {
  const command = addCommand(group, 'accept', 'accept the changed model or MAC address that a device reports', [
    'paku-ota device accept ESP32-20E955A0 --reason "the board was replaced"',
  ])
    .argument('<device>')
    .requiredOption('--reason <text>', 'kept in the history')
    .option('--yes', 'do not ask');
  registerAction<AcceptOptions, [string]>(command, async (session, { reason, yes = false }, id) => {
    const device = await session.api.device(id);
    const { identity_change: change } = device;
    if (change === null) throw new CliError(`${id} reports what is known of it: there is nothing to accept`);
    const effect = await effectOf(session, device.reported_model ?? device.device_model);
    await confirmOrStop(`${id} ${change}. ${effect} Accept this on ${session.target.name}?`, yes);
    session.show(await session.api.acceptIdentity(id, reason), (changed) => deviceText(changed, new Date()));
  });
}

/** What can follow, in numbers. */
async function effectOf(session: Session, model: string): Promise<string> {
  const { items } = await session.api.rollouts({ state: 'active', model, limit: 200 });
  return `${count(items.length, 'active rollout')} of the model ${model} may update it from then on.`;
}
