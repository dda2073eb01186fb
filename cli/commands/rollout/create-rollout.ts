import type { Command } from 'commander';
import { ApiError } from '../../../api/client.ts';
import type { Rollout, RolloutDraft } from '../../../api/rollouts.ts';
import type { Session } from '../../session/index.ts';
import { addCommand, confirmOrStop, registerAction } from '../../session/index.ts';
import { createdText, planText, previewText, printable } from '../../text/index.ts';
import { addDraftFlags, type DraftFlags, readDraft } from './draft-flags.ts';

export function addPreview(group: Command): void {
  const command = addCommand(group, 'preview', 'who would be updated, who would not and why; nothing is sent', [
    'paku-ota rollout preview --model esp32-s3 --version 2.1.0 --group vans',
  ]);
  registerAction<DraftFlags, []>(addDraftFlags(command), async (session, flags) => {
    const draft = readDraft(flags);
    session.show(await session.api.previewRollout(draft), (preview) => previewText(preview, draft));
  });
}

export function addCreate(group: Command): void {
  const command = addCommand(group, 'create', 'make a rollout, after a look at what it would do', [
    'paku-ota rollout create --model esp32-s3 --version 2.1.0',
    "paku-ota rollout create --model esp32-s3 --version 2.1.0 --group vans --stages '5%,25%:60m,100%'",
    "paku-ota rollout create --file rollout.json --window 'mon-fri 22:00-05:00 Europe/Rome' --yes",
  ]).option('--yes', 'do not ask');
  registerAction<DraftFlags & { yes?: boolean }, []>(addDraftFlags(command), createRollout);
}

async function createRollout(session: Session, flags: DraftFlags & { yes?: boolean }): Promise<void> {
  const draft = readDraft(flags);
  const before = await getRolloutIfExists(session, draft.name);
  const decided = before === undefined ? await previewAndAsk(session, draft, flags.yes === true) : draft;
  // The API answers a repeated call with the existing rollout, or refuses it and names what differs.
  const rollout = await session.api.createRollout(decided);
  session.show(rollout, (made) => [createdText(made, before === undefined)]);
  session.note(`Watch it: paku-ota rollout watch ${JSON.stringify(rollout.name)}`);
}

async function getRolloutIfExists({ api }: Session, name: string): Promise<Rollout | undefined> {
  try {
    return await api.rollout(name);
  } catch (error) {
    if (error instanceof ApiError && error.problem.status === 404) return undefined;
    throw error;
  }
}

/** @returns the draft with the stepping stones that were shown, so that no upload in the meantime changes them */
async function previewAndAsk(session: Session, draft: RolloutDraft, isYes: boolean): Promise<RolloutDraft> {
  const preview = printable(await session.api.previewRollout(draft));
  session.note(
    [
      `${draft.device_model} to ${draft.firmware_version}, on ${session.target.name}`,
      ...previewText(preview, draft),
      ...planText(draft),
    ].join('\n'),
  );
  const start = preview.will_be_updated === 0 ? 'No device would be updated now. Start it all the same?' : 'Start it?';
  await confirmOrStop(draft.is_active === false ? 'Make the draft?' : start, isYes);
  session.note('');
  return { ...draft, stepping_stones: draft.stepping_stones ?? preview.stepping_stones.map(({ version }) => version) };
}
