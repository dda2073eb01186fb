export { explainByItsRollout, explainDevice } from './explain-device.ts';
export { type FitsCheck, NO_RULES, previewRollout } from './preview.ts';
export { describeState } from './rollout-status-text.ts';
export { describeStall, listStalledRollouts, type StalledRollout } from './stalled-rollouts.ts';
