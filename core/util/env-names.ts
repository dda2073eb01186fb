/** Environment variables of the functions: set by lib/, read by lambdas/. */
export const ENV = {
  /** ARN of the Aurora cluster. */
  clusterArn: 'DATABASE_CLUSTER_ARN',
  /** ARN of the secret of the database role that the function uses. */
  databaseSecretArn: 'DATABASE_SECRET_ARN',
  databaseName: 'DATABASE_NAME',
  /** JSON: ARN of the secret of each database role; only for the migration, which sets their passwords. */
  roleSecretArns: 'ROLE_SECRET_ARNS',
  /** ARN of the secret that signs download links. */
  linkSecretArn: 'LINK_SECRET_ARN',
  /** URL before the token of a download link, including the trailing slash. */
  linkBaseUrl: 'LINK_BASE_URL',
  firmwareBucket: 'FIRMWARE_BUCKET',
  /** JSON: URLs of the queues of messages from devices, by the name of their work. */
  ingestionQueues: 'INGESTION_QUEUES',
  dispatchQueueUrl: 'DISPATCH_QUEUE_URL',
  /** ARN of the queue for messages that a topic rule could not put on the function's own queue. */
  undeliveredQueueArn: 'UNDELIVERED_QUEUE_ARN',
  /** First segment of every topic. */
  topicPrefix: 'TOPIC_PREFIX',
  /** `true` if a client may send the messages of a device with another id than its own, otherwise `false`. */
  acceptAnyClientId: 'ACCEPT_ANY_CLIENT_ID',
  /** `hold` or `accept`: whether a device with a changed model or MAC address waits for an operator. */
  identityChanges: 'IDENTITY_CHANGES',
  /** JSON: the model of devices that report none; null if nothing is stated for them. */
  defaultModel: 'DEFAULT_MODEL',
  /** Topic family for a device that has never reported on either: `devices` or `edge`. */
  commandFamily: 'COMMAND_FAMILY',
  /** `direct` (SendDirectMessage) or `publish`. */
  commandTransport: 'COMMAND_TRANSPORT',
  /** JSON: settings by device model. */
  models: 'MODELS',
  /** What the device policy allows, in words, with `{deviceId}` for the device. */
  devicePolicy: 'DEVICE_POLICY',
  /** Name of the thing type of the deployment's devices. */
  thingType: 'THING_TYPE',
  /** JSON: signing settings of the deployment; the model's settings override them. */
  signing: 'SIGNING',
  /** `true` if the first status with a certificate revokes the older ones of the device, otherwise `false`. */
  revokeOlderCertificates: 'REVOKE_OLDER_CERTIFICATES',
  /** `true` if a second person must approve what a rollout sends, otherwise `false`. */
  requireApproval: 'REQUIRE_APPROVAL',
  /** Name of the event bus that receives changes of rollouts. */
  eventBus: 'EVENT_BUS',
  /** Source of these events. */
  eventSource: 'EVENT_SOURCE',
  /** Namespace of the metrics; Powertools reads it. */
  metricNamespace: 'POWERTOOLS_METRICS_NAMESPACE',
  uploadQueueUrl: 'UPLOAD_QUEUE_URL',
  /** JSON: URL and ARN of each dead-letter queue, by the name of its work. */
  deadLetters: 'DEAD_LETTERS',
  /** Days for which history is kept. */
  historyDays: 'HISTORY_DAYS',
  /** Minutes between two sweeps in idle mode; 0 disables idle mode. */
  idleSweepMinutes: 'IDLE_SWEEP_MINUTES',
} as const;
