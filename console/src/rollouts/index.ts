export { NewRolloutPage } from './new-rollout.tsx';
export { ReportPage } from './report.tsx';
export { RolloutPage } from './rollout.tsx';
export { RolloutTable } from './rollout-table.tsx';
export { RolloutsPage } from './rollouts.tsx';
