import type { Command } from 'commander';
import { addCommand, CliError, confirmOrStop, EXIT, registerAction } from '../../session/index.ts';
import { printable, recoveryPreviewText, recoveryText } from '../../text/index.ts';

interface RecoverFlags {
  readonly reason?: string;
  readonly preview?: true;
  readonly yes?: boolean;
}

export function addRecover(group: Command): void {
  const command = addCommand(
    group,
    'recover',
    'send the devices on the release of a stopped rollout back to the version that each ran before',
    [
      'paku-ota rollout recover "vans to 2.1" --preview',
      'paku-ota rollout recover "vans to 2.1" --reason "2.1 restarts again and again"',
    ],
  )
    .argument('<rollout>', 'id or name')
    .option('--preview', 'only show the number of devices, their versions, and the devices that cannot be recovered')
    .option('--reason <text>', 'kept in the history; needed without --preview')
    .option('--yes', 'do not ask');
  registerAction<RecoverFlags, [string]>(
    command,
    async (session, { reason, preview: isPreview, yes = false }, name) => {
      const preview = await session.api.previewRecovery(name);
      if (isPreview) {
        session.show(preview, recoveryPreviewText);
        return;
      }
      if (reason === undefined)
        throw new CliError(
          'give the reason for the history: --reason "…"; --preview shows the effect first',
          EXIT.usage,
        );
      if (!preview.can_recover) {
        throw new CliError(`the rollout is ${preview.state} and sends ${preview.firmware_version}; pause it first`);
      }
      session.note(recoveryPreviewText(printable(preview)).join('\n'));
      if (preview.devices > 0) {
        const devices = `${preview.devices} ${preview.devices === 1 ? 'device' : 'devices'}`;
        await confirmOrStop(`Send ${devices} on ${session.target.name} back to an earlier version?`, yes);
      }
      session.show(await session.api.recover(preview.rollout_id, reason), recoveryText);
    },
  );
}
