export { assignDevices, FAILED_BEFORE, hasAssignable } from './assign-devices.ts';
export {
  BLOCKED_BY_HIGHER_PRIORITY,
  BY_RELEASE_MAP,
  BY_STORED_CUTOFF,
  firstFailed,
  HAS_OPEN_UPDATE,
  IMAGE_BY_RELEASE_MAP,
  passesAll,
  RULES,
  type Rule,
} from './assignment-rules.ts';
export { assignByScan, forgetChanges, scanStateOf } from './device-scan.ts';
export { findNoLongerTargeted } from './recheck-target.ts';
export { holdValues, recordHolds, WAITS_FOR_HOLD } from './record-holds.ts';
