export { type KnownRecovery, listRecoveries, openOnes, planRecovery, type RecoveryPlan } from './plan-recovery.ts';
export { endProbations, recoverDevices } from './recover-devices.ts';
export { assignRest } from './run-recovery.ts';
