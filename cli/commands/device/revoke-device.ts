import type { Command } from 'commander';
import { DEVICE_ID, DEVICE_ID_FORM } from '../../../core/util/index.ts';
import { addCommand, CliError, confirmOrStop, EXIT, registerAction } from '../../session/index.ts';
import { count, deviceText } from '../../text/index.ts';
import { askReach } from './ask-reach.ts';

interface RevokeOptions {
  readonly reason: string;
  readonly yes?: boolean;
}

export function addDeviceRevoke(group: Command): void {
  const command = addCommand(group, 'revoke', 'revoke a device for good: its certificates, connection and updates', [
    'paku-ota device revoke ESP32-20E955A0 --reason "stolen in Turin"',
  ])
    .argument('<device>')
    .requiredOption('--reason <text>', 'kept in the history')
    .option('--yes', 'do not ask');
  registerAction<RevokeOptions, [string]>(command, async (session, { reason, yes = false }, id) => {
    if (!DEVICE_ID.test(id)) throw new CliError(`"${id}" is not a device id; expected ${DEVICE_ID_FORM}`, EXIT.usage);
    const question = `Revoke ${id} on ${session.target.name}? Its certificates never work again; it would need a new one.`;
    await confirmOrStop(question, yes);
    session.show(await session.api.revokeDevice(id, reason), ({ certificates, device }) => [
      `${id} is revoked: ${count(certificates.length, 'certificate')} refused`,
      ...(device === null ? ['It never reported: nothing was planned for it.'] : deviceText(device, new Date())),
    ]);
  });
}

export function addDeviceReinstate(group: Command): void {
  const command = addCommand(group, 'reinstate', 'let a revoked device take part again; it needs a new certificate', [
    'paku-ota device reinstate ESP32-20E955A0 --reason "found" && paku-ota device add ESP32-20E955A0',
  ])
    .argument('<device>')
    .requiredOption('--reason <text>', 'kept in the history')
    .option('--yes', 'do not ask, also if a rollout then sends to it');
  registerAction<RevokeOptions, [string]>(command, async (session, { reason, yes = false }, id) => {
    await askReach(session, [{ device_ids: [id], reinstate: true }], yes);
    session.show(await session.api.reinstateDevice(id, reason), (device) => deviceText(device, new Date()));
    session.note(`\nIts old certificates stay refused. A new one: paku-ota device add ${id}`);
  });
}
