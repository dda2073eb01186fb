export { BARS, claimDevices, hasClaimable } from './assign-devices.ts';
export { claimOnWalk, forgetChanges, walkOf } from './claim-scan.ts';
export { findUnwanted } from './recheck-target.ts';
