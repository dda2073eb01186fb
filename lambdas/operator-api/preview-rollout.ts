import {
  type FitsCheck,
  InvalidRolloutError,
  type Preview,
  type PreviewedRollout,
  type PreviewRules,
  previewRollout,
} from '../../core/explain/index.ts';
import { describeUncovered } from '../../core/policy/index.ts';
import { commandTopic, encodeCommand, packetProblem, TOKEN_LENGTH } from '../../core/protocol/index.ts';
import { settingsOf } from '../../core/release-policy/index.ts';
import { getRelease } from '../../core/releases/index.ts';
import { loadRolloutRuntime } from '../../core/rollouts/index.ts';
import type { RolloutId } from '../../core/util/index.ts';
import type { Services } from './context.ts';
import { notFound, RefusedCall } from './problems.ts';
import { trustOf } from './stepping-stones.ts';
import { warnOfExceptions, warnOfTarget, warnOfUnlimited } from './target-warnings.ts';

type Release = Pick<PreviewedRollout, 'device_model' | 'firmware_version'>;

/** Previews what a saved rollout would do now, from its own row, devices and stages. */
export async function previewSaved(services: Services, rolloutId: RolloutId) {
  const rollout = await loadRolloutRuntime(services.sql, rolloutId);
  if (rollout === undefined) throw notFound(`rollout ${rolloutId}`);
  return previewResource(services, { ...rollout, isSaved: true }, rollout.is_approved);
}

const NEEDS_APPROVAL = {
  code: 'NEEDS_APPROVAL',
  message: 'it sends nothing until a second person has approved it',
};

/**
 * The preview in the form that the API returns.
 * @throws RefusedCall if the target or the stages of a row that SQL wrote are invalid
 */
export async function previewResource(services: Services, rollout: PreviewedRollout, isApproved = false) {
  const { sql } = services;
  const release = await getRelease(sql, rollout.device_model, rollout.firmware_version);
  const preview = await orRefuse(previewRollout(sql, rollout, previewRules(services, rollout)));
  return {
    matching: preview.matching,
    excluded: preview.excluded,
    targeted: preview.targeted,
    will_be_updated: preview.willBeUpdated,
    via_stepping_stone: preview.viaSteppingStone,
    set_apart: preview.setApart,
    stepping_stones: [...preview.steppingStones],
    stages: preview.stages.map(({ devices, willBeUpdated }) => ({ devices, will_be_updated: willBeUpdated })),
    first_stage_covers: preview.coverage.map(({ name, values, covered, leftOut }) => ({
      ...{ name, values, covered },
      left_out: leftOut.map(({ value, devices, isReachable }) => ({ value, devices, is_reachable: isReachable })),
    })),
    warnings: [
      ...(release?.warnings ?? []),
      ...preview.failedBefore.map((message) => ({ code: 'FAILED_BEFORE', message })),
      ...preview.coverage.flatMap((names) => {
        const message = describeUncovered(names, preview.firstStage);
        return message === undefined ? [] : [{ code: 'NOT_COVERED', message }];
      }),
      ...(await warnOfTarget(sql, rollout)),
      ...(await warnOfExceptions(sql, rollout)),
      ...(await warnOfUnlimited(sql, rollout)),
      ...(services.settings.requireApproval && !isApproved ? [NEEDS_APPROVAL] : []),
    ],
    will_not: [...preview.willNot],
    held_by_others: [...preview.heldByOthers],
    held: preview.held.map(({ reason, devices }) => ({ reason, devices })),
  };
}

async function orRefuse(preview: Promise<Preview>): Promise<Preview> {
  try {
    return await preview;
  } catch (error) {
    if (error instanceof InvalidRolloutError) throw new RefusedCall(409, `The rollout cannot run: ${error.message}.`);
    throw error;
  }
}

export const previewRules = (services: Services, release: Release): PreviewRules => ({
  fits: fitsCheck(services, release),
  trust: trustOf(services.settings),
  now: services.now(),
});

/** Checks the packet that dispatch would send, for device ids of the given length. */
function fitsCheck({ settings }: Services, { device_model: model, firmware_version: version }: Release): FitsCheck {
  const { delivery, packetLimitBytes } = settingsOf(settings.models, model);
  const payload = encodeCommand({
    url: settings.linkBaseUrl + 't'.repeat(TOKEN_LENGTH),
    checksum: 'c'.repeat(64),
    version,
  });
  return (idLength, family) => {
    if (delivery === 'presigned') return undefined;
    const topic = commandTopic(settings.topicPrefix, family ?? settings.commandFamily, 'd'.repeat(idLength));
    return packetProblem(topic, payload, packetLimitBytes);
  };
}
