export { assignDevices, BLOCKED_BY_HIGHER_PRIORITY, hasAssignable } from './assign-devices.ts';
export { assignByScan, forgetChanges, scanStateOf } from './claim-scan.ts';
export { findNoLongerTargeted } from './recheck-target.ts';
