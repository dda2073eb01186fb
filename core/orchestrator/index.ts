export { compactCounters } from './compact-counters.ts';
export { eligibleVersions } from './drive-rollout.ts';
export { hasWork } from './has-work.ts';
export { sampleFleetVersions, sweepHistory } from './housekeeping.ts';
export {
  AWAKE_MINUTES,
  assessIdle,
  awakeAfter,
  type IdleAssessment,
  type IdleMarker,
  type IdlePeriod,
  idleUntil,
  isInIdleMode,
  isRedundantHeartbeat,
  lastPause,
  mayEnterIdle,
} from './idle-mode.ts';
export { runTick, runTickAlone, type Tick } from './tick.ts';
