/** Metrics of the functions, in CloudWatch's embedded metric format: written by lambdas/, watched by lib/. */
export const METRICS = {
  /** Powertools adds it as a dimension. */
  service: 'paku-ota',
  /** Rollouts that the orchestrator halted; rollouts paused by operators do not count. */
  rolloutsHalted: 'RolloutsHalted',
  /** Messages of devices that were rejected. */
  rejectedMessages: 'RejectedMessages',
  /** Disconnections of clients by their policy. */
  refusedClients: 'RefusedClients',
  /** Certificates that a provisioning claim got for a device that already had one. */
  extraCertificates: 'ExtraCertificates',
  /** Uploads that did not become a release. */
  rejectedUploads: 'RejectedUploads',
  /** Rollouts that cannot go on by themselves and have not moved for a day. A level, not a count of events. */
  stalledRollouts: 'StalledRollouts',
  /** Devices that run an image whose verification had failed. A level, not a count of events. */
  unverifiedDevices: 'UnverifiedDevices',
  /** Commands that AWS IoT denied to the service, three times in a row each. */
  deniedCommands: 'DeniedCommands',
  /** 1 for each completed tick. */
  ticks: 'Ticks',
} as const;
