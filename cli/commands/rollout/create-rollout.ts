import type { Command } from 'commander';
import { ApiError } from '../../../api/client.ts';
import type { Rollout, RolloutDraft } from '../../../api/rollouts.ts';
import type { Session } from '../../session/index.ts';
import { addCommand, CliError, confirmOrStop, EXIT, registerAction } from '../../session/index.ts';
import { createdText, planText, previewText, printable, rolloutText } from '../../text/index.ts';
import { approvalHint } from './approve-rollout.ts';
import { addDraftFlags, type DraftFlags, readDraft } from './draft-flags.ts';

/** Flags of every command, which are no part of a draft. */
const COMMON_FLAGS = ['json', 'local', 'aws', 'profile', 'region', 'stack'];

export function addPreview(group: Command): void {
  const command = addCommand(
    group,
    'preview',
    'show which devices would be updated, and why others would not; nothing is sent',
    [
      'paku-ota rollout preview --model esp32-s3 --version 2.1.0 --group vans',
      'paku-ota rollout preview "vans to 2.1"',
    ],
  ).argument('[rollout]', 'id or name of a saved rollout; without one, the flags describe a draft');
  registerAction<DraftFlags, [string | undefined]>(addDraftFlags(command), async (session, flags, name) => {
    if (name === undefined) {
      const draft = await readDraftOf(session, flags);
      session.show(await session.api.previewRollout(draft), (preview) => previewText(preview, draft));
      return;
    }
    if (Object.keys(flags).some((flag) => !COMMON_FLAGS.includes(flag))) {
      throw new CliError(
        `${JSON.stringify(name)} is a saved rollout: the flags of a draft do not apply to it`,
        EXIT.usage,
      );
    }
    const rollout = await session.api.rollout(name);
    session.show(await session.api.previewOf(rollout), (preview) => previewText(preview, rollout));
  });
}

export function addCreate(group: Command): void {
  const command = addCommand(group, 'create', 'create a rollout (shows a preview first)', [
    'paku-ota rollout create --model esp32-s3 --version 2.1.0',
    "paku-ota rollout create --model esp32-s3 --version 2.1.0 --group vans --stages '5%,25%:60m,100%'",
    "paku-ota rollout create --file rollout.json --window 'mon-fri 22:00-05:00 Europe/Rome' --yes",
  ]).option('--yes', 'do not ask');
  registerAction<DraftFlags & { yes?: boolean }, []>(addDraftFlags(command), createRollout);
}

export function addEdit(group: Command): void {
  const command = addCommand(
    group,
    'edit',
    'replace what the flags name of a draft, which keeps its id; its stepping stones are proposed again',
    [
      'paku-ota rollout edit "vans to 2.1" --start-at 2027-03-01T22:00:00Z',
      "paku-ota rollout edit 7 --name 'vans to 2.2' --version 2.2.0",
    ],
  )
    .argument('<rollout>', 'id or name of a draft')
    .option('--yes', 'do not ask');
  registerAction<DraftFlags & { yes?: boolean }, [string]>(addDraftFlags(command), async (session, flags, name) => {
    const before = await session.api.rollout(name);
    if (before.state !== 'draft')
      throw new CliError(`"${before.name}" is ${before.state}: only a draft can be edited`, EXIT.failed);
    const draft = await readDraftOf(session, flags, { ...draftOf(before), stepping_stones: null });
    const decided = await previewAndAsk(
      session,
      { ...draft, is_active: false },
      'Replace the draft?',
      flags.yes === true,
    );
    const { rollout_id: id, updated_at: readAt } = before;
    session.show(await session.api.replaceDraft(id, readAt, decided), (rollout) => rolloutText(rollout, new Date()));
  });
}

/** The fields of a rollout that its author chooses. */
function draftOf(rollout: Rollout): RolloutDraft {
  const {
    rollout_id,
    state,
    paused_reason,
    paused_by,
    paused_at,
    created_at,
    created_by,
    updated_at,
    completed_at,
    aborted_at,
    stage,
    waiting_for,
    requested_action,
    approval,
    needs_approval,
    resume_devices,
    devices,
    pending,
    in_progress,
    succeeded,
    failed,
    canceled,
    ...draft
  } = rollout;
  return draft;
}

async function createRollout(session: Session, flags: DraftFlags & { yes?: boolean }): Promise<void> {
  const draft = await readDraftOf(session, flags);
  const before = await getRolloutIfExists(session, draft.name);
  const decided = before === undefined ? await previewAndAsk(session, draft, undefined, flags.yes === true) : draft;
  // The API answers a repeated call with the existing rollout, or refuses it and names what differs.
  const rollout = await session.api.createRollout(decided);
  session.show(rollout, (made) => [createdText(made, before === undefined), ...approvalHint(made)]);
  if (rollout.approval !== null) return;
  session.note(`Watch it: paku-ota rollout watch ${JSON.stringify(rollout.name)}`);
}

/** The draft, with the id of the rollout that it starts after. */
async function readDraftOf({ api }: Session, flags: DraftFlags, before?: Partial<RolloutDraft>): Promise<RolloutDraft> {
  const draft = readDraft(flags, before);
  return flags.after === undefined
    ? draft
    : { ...draft, after_rollout_id: (await api.rollout(flags.after)).rollout_id };
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
async function previewAndAsk(
  session: Session,
  draft: RolloutDraft,
  asked: string | undefined,
  isYes: boolean,
): Promise<RolloutDraft> {
  const preview = printable(await session.api.previewRollout(draft));
  session.note(
    [
      `${draft.device_model} to ${draft.firmware_version}, on ${session.target.name}`,
      ...previewText(preview, draft),
      ...planText(draft),
    ].join('\n'),
  );
  const start = preview.will_be_updated === 0 ? 'No device would be updated now. Start it all the same?' : 'Start it?';
  await confirmOrStop(asked ?? (draft.is_active === false ? 'Make the draft?' : start), isYes);
  session.note('');
  return { ...draft, stepping_stones: draft.stepping_stones ?? preview.stepping_stones.map(({ version }) => version) };
}
