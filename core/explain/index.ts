export { countWithout } from './count-without.ts';
export { type DeviceChange, listModelVersions } from './device-change.ts';
export { explainByItsRollout, explainDevice } from './explain-device.ts';
export {
  countReached,
  type FitsCheck,
  InvalidRolloutError,
  NO_RULES,
  type Preview,
  type PreviewRules,
  previewRollout,
} from './preview.ts';
export { asNewRollout, type PreviewedRollout } from './previewed-rollout.ts';
export { describeState } from './rollout-status-text.ts';
export { describeStall, listStalledRollouts, type StalledRollout } from './stalled-rollouts.ts';
export type { HeldGroup } from './summarize-groups.ts';
