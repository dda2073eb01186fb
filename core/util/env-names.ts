/** Environment variables of the functions: set by lib/, read by lambdas/. */
export const ENV = {
  /** ARN of the Aurora cluster. */
  clusterArn: 'DATABASE_CLUSTER_ARN',
  /** ARN of the secret of the database role that the function uses. */
  databaseSecretArn: 'DATABASE_SECRET_ARN',
  databaseName: 'DATABASE_NAME',
  /** ARN of the application role's secret; only for the migration, which sets its password. */
  appSecretArn: 'APP_SECRET_ARN',
  /** ARN of the secret that signs download links. */
  linkSecretArn: 'LINK_SECRET_ARN',
  /** URL before the token of a download link, with its last slash. */
  linkBaseUrl: 'LINK_BASE_URL',
  firmwareBucket: 'FIRMWARE_BUCKET',
  dispatchQueueUrl: 'DISPATCH_QUEUE_URL',
  /** ARN of the queue of what topic rules could not put on the function's own queue. */
  undeliveredQueueArn: 'UNDELIVERED_QUEUE_ARN',
  /** First segment of every topic. */
  topicPrefix: 'TOPIC_PREFIX',
  /** Topic family for a device that was never heard on either: `devices` or `edge`. */
  commandFamily: 'COMMAND_FAMILY',
  /** `direct` (SendDirectMessage) or `publish`. */
  commandTransport: 'COMMAND_TRANSPORT',
  /** JSON: settings by device model. */
  models: 'MODELS',
  /** Name of the thing type of the deployment's devices. */
  thingType: 'THING_TYPE',
  /** JSON: what may sign firmware, unless the model's settings say otherwise. */
  signing: 'SIGNING',
  /** Name of the event bus that changes of rollouts are put on. */
  eventBus: 'EVENT_BUS',
  uploadQueueUrl: 'UPLOAD_QUEUE_URL',
  /** JSON: URL and ARN of each dead-letter queue, by the name of its work. */
  deadLetters: 'DEAD_LETTERS',
  /** Days after which history is forgotten. */
  historyDays: 'HISTORY_DAYS',
  /** Minutes between two looks at a database that rests; 0: it never rests. */
  idleSweepMinutes: 'IDLE_SWEEP_MINUTES',
} as const;
