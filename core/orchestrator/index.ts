export { foldLedgers } from './compact-counters.ts';
export { eligibleVersions } from './drive-rollout.ts';
export { hasWork } from './has-work.ts';
export { sampleFleetVersions, sweepHistory } from './housekeeping.ts';
export {
  AWAKE_MINUTES,
  isResting,
  mayRest,
  type Outlook,
  type Resting,
  type RestMarker,
  readOutlook,
  restUntil,
  saysNothingNew,
} from './idle-mode.ts';
export { runTick, runTickAlone, type Tick } from './tick.ts';
