import type { Command } from 'commander';
import type { Approval, Rollout } from '../../../api/rollouts.ts';
import { addCommand, CliError, confirmOrStop, registerAction } from '../../session/index.ts';
import { approvalText, count, previewText, printable, rolloutText } from '../../text/index.ts';

/** Adds the decisions of a second person about what another one requested. */
export function addApproval(group: Command): void {
  const approve = addCommand(group, 'approve', 'approve what another person requested, and do it', [
    'paku-ota rollout approve "vans to 2.1" --reason "read the changelog"',
  ])
    .argument('<rollout>', 'id or name')
    .requiredOption('--reason <text>', 'kept in the history')
    .option('--yes', 'do not ask');
  registerAction<{ reason: string; yes?: boolean }, [string]>(
    approve,
    async (session, { reason, yes = false }, name) => {
      const rollout = await session.api.rollout(name);
      const approval = requestOf(rollout);
      if (approval.refusal !== null) throw new CliError(`you cannot approve it: ${approval.refusal}`);
      const { warnings, ...eligible } = await session.api.previewOf(rollout);
      const preview = { ...eligible, warnings: warnings.filter(({ code }) => code !== 'NEEDS_APPROVAL') };
      const now = new Date();
      const shown = printable({ rollout, approval, preview });
      session.note(
        [
          ...rolloutText(shown.rollout, now),
          '',
          ...approvalText(shown.approval, now),
          ...previewText(shown.preview, shown.rollout),
        ].join('\n'),
      );
      const devices = approval.action === 'start' ? preview.will_be_updated : approval.devices;
      const downgrade = rollout.allow_downgrade ? ', also to devices on a newer version' : '';
      await confirmOrStop(
        `Approve it on ${session.target.name}? ${rollout.firmware_version} is sent to ${approval.action === 'retry' ? '' : 'at most '}${count(devices, 'device')}${downgrade}.`,
        yes,
      );
      const decision = { request_id: approval.request_id, reason };
      session.show(await session.api.decide(rollout.rollout_id, 'approve', decision), (done) =>
        rolloutText(done, new Date()),
      );
    },
  );

  const reject = addCommand(group, 'reject', 'reject what another person requested, or take back your own request', [
    'paku-ota rollout reject "vans to 2.1" --reason "not on a Friday"',
  ])
    .argument('<rollout>', 'id or name')
    .requiredOption('--reason <text>', 'kept in the history');
  registerAction<{ reason: string }, [string]>(reject, async (session, { reason }, name) => {
    const rollout = await session.api.rollout(name);
    const decision = { request_id: requestOf(rollout).request_id, reason };
    session.show(await session.api.decide(rollout.rollout_id, 'reject', decision), (done) =>
      rolloutText(done, new Date()),
    );
  });
}

/** @throws CliError if nothing waits for approval */
function requestOf({ name, state, approval }: Rollout): Approval {
  if (approval !== null) return approval;
  throw new CliError(`nothing of "${name}" waits for approval: it is ${state}`);
}

/** The command that the second person needs; empty if nothing waits. */
export const approvalHint = ({ name, approval }: Rollout): string[] =>
  approval === null
    ? []
    : [`A second person must approve it: paku-ota rollout approve ${JSON.stringify(name)} --reason "…"`];
