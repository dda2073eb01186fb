/** The database of a deployment, as RDS names it. */
export const DATABASE_ENGINE = {
  engine: 'aurora-postgresql',
  version: '17.7',
  instanceClass: 'db.serverless',
} as const;
