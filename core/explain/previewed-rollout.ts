import type { RolloutRuntime } from '../rollouts/index.ts';
import type { ReleaseId } from '../util/index.ts';

/** A rollout by what its preview depends on. */
export interface PreviewedRollout
  extends Pick<
    RolloutRuntime,
    | 'id'
    | 'firmware_version'
    | 'device_model'
    | 'target_type'
    | 'target_filter'
    | 'rollout_percentage'
    | 'allow_downgrade'
    | 'include_unknown'
    | 'priority'
    | 'stages'
    | 'send_window'
    | 'max_in_flight_per'
    | 'first_stage_covers'
    | 'first_stage_covers'
    | 'failure_threshold'
    | 'min_reports'
    | 'stepping_stones'
    | 'target_hash_cutoff'
    | 'member_percentage'
    | 'counted_at'
    | 'stage'
    | 'stage_hash_cutoff'
    | 'stage_later_cutoff'
  > {
  /** The newest release that may be a stepping stone; null: any that is registered now. */
  readonly newest_release_id: ReleaseId | null;
  /** False for a draft that is not a row: which devices its percentage and its stages include is not known yet. */
  readonly isSaved: boolean;
}

/** The id of a rollout that does not exist yet: it is newer than every other. */
const NEWEST = Number.MAX_SAFE_INTEGER;

type DraftColumns =
  | 'firmware_version'
  | 'device_model'
  | 'target_type'
  | 'target_filter'
  | 'rollout_percentage'
  | 'allow_downgrade'
  | 'include_unknown'
  | 'priority'
  | 'stages'
  | 'send_window'
  | 'max_in_flight_per'
  | 'first_stage_covers'
  | 'failure_threshold'
  | 'min_reports'
  | 'stepping_stones';

/** A draft that is not a row, as if it were created now. */
export const asNewRollout = (draft: Pick<PreviewedRollout, DraftColumns>): PreviewedRollout => ({
  ...draft,
  id: NEWEST,
  newest_release_id: null,
  target_hash_cutoff: null,
  member_percentage: null,
  counted_at: null,
  stage: 0,
  stage_hash_cutoff: null,
  stage_later_cutoff: null,
  isSaved: false,
});
