import { cutoffOfShare } from '../policy/index.ts';

/** The place of the device `d` in the order of a rollout. */
export const HASH = "md5(:rollout::bigint || ':' || d.device_id)";

/** True if the device registered after the targets of the rollout were counted. */
export const JOINED_LATER = 'coalesce(d.registered_at > :countedAt::timestamptz, false)';

/** True if the percentage of the rollout includes the device. */
export const IN_SHARE = `(:laterTargetCutoff = repeat('f', 32)
           OR ${HASH} <= CASE WHEN ${JOINED_LATER} THEN :laterTargetCutoff ELSE :targetCutoff END)`;

/** True if the present stage of the rollout includes the device: by its hash, or because it was named. */
export const IN_STAGE = `(:laterCutoff = repeat('f', 32)
           OR ${HASH} <= CASE WHEN ${JOINED_LATER} THEN :laterCutoff ELSE :hashCutoff END
           OR EXISTS (SELECT FROM rollout_members AS m WHERE m.device_id = d.device_id AND m.rollout_id = :rollout::bigint))`;

/** The columns that decide which devices the percentage of a rollout includes. */
export interface TargetCutoffs {
  readonly target_hash_cutoff: string | null;
  readonly member_percentage: number | null;
  readonly counted_at: Date | null;
}

/** And those of its present stage. */
export interface Cutoffs extends TargetCutoffs {
  readonly stage_hash_cutoff: string | null;
  readonly stage_later_cutoff: string | null;
}

/** The values of these conditions. @param unknown the cutoff to use where none was decided yet */
export const cutoffValues = (cutoffs: Cutoffs, unknown = '') => ({
  countedAt: cutoffs.counted_at,
  targetCutoff: cutoffs.target_hash_cutoff ?? unknown,
  laterTargetCutoff: cutoffs.target_hash_cutoff === null ? unknown : laterTargetCutoff(cutoffs),
  hashCutoff: cutoffs.stage_hash_cutoff ?? unknown,
  laterCutoff: cutoffs.stage_later_cutoff ?? unknown,
});

/** The cutoff of devices that joined later: each is targeted with the probability of the percentage. */
export const laterTargetCutoff = ({ target_hash_cutoff, member_percentage }: TargetCutoffs): string =>
  member_percentage === null ? (target_hash_cutoff ?? '') : cutoffOfShare(member_percentage / 100);
