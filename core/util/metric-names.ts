/** Metrics of the functions, in CloudWatch's embedded format: written by lambdas/, watched by lib/. */
export const METRICS = {
  namespace: 'PakuOta',
  /** Powertools adds it as a dimension. */
  service: 'paku-ota',
  /** Rollouts that the orchestrator stopped, not those that an operator did. */
  rolloutsHalted: 'RolloutsHalted',
  /** Messages of devices that were recorded as rejected. */
  rejectedMessages: 'RejectedMessages',
  /** Uploads that did not become a release. */
  rejectedUploads: 'RejectedUploads',
  /** 1 for each tick that ran to its end. */
  ticks: 'Ticks',
} as const;
