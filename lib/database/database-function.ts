import type { Construct } from 'constructs';
import type { DatabaseRole } from '../../core/db/index.ts';
import type { Alarms } from '../monitoring/index.ts';
import type { Settings } from '../settings/index.ts';
import { OtaFunction, type OtaFunctionProps } from '../shared/index.ts';
import type { Database } from './database.ts';
import type { Migration } from './migration.ts';

/** What every capability is built on. */
export interface ServiceBase {
  readonly settings: Settings;
  readonly alarms: Alarms;
  readonly database: Database;
  readonly migration: Migration;
}

export interface DatabaseFunctionProps extends Omit<OtaFunctionProps, 'settings' | 'alarms'> {
  readonly base: ServiceBase;
  /** The database role of the function, which decides what it may read and write. */
  readonly role: DatabaseRole;
}

/** A function that reads and writes rows. It is deployed after the migration that it relies on. */
export class DatabaseFunction extends OtaFunction {
  constructor(scope: Construct, id: string, { base, role, ...props }: DatabaseFunctionProps) {
    super(scope, id, { ...props, settings: base.settings, alarms: base.alarms });
    base.database.grantRole(this, role);
    this.node.addDependency(base.migration);
  }
}
