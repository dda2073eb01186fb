export { compactCounters } from './compact-counters.ts';
export { eligibleVersions } from './drive-rollout.ts';
export { hasWork } from './has-work.ts';
export { sampleFleetVersions, sweepHistory } from './housekeeping.ts';
export {
  AWAKE_MINUTES,
  isInIdleMode,
  mayEnterIdle,
  type IdleAssessment,
  type Resting,
  type IdleMarker,
  assessIdle,
  idleUntil,
  isRedundantHeartbeat,
} from './idle-mode.ts';
export { runTick, runTickAlone, type Tick } from './tick.ts';
