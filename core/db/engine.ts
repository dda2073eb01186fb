/** The database of a deployment, as RDS names it. The version is the default of a setting. */
export const DATABASE_ENGINE = {
  engine: 'aurora-postgresql',
  version: '17.7',
  instanceClass: 'db.serverless',
} as const;
