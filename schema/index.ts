import initial from './000001_initial.sql';

export interface Migration {
  readonly version: number;
  readonly name: string;
  readonly sql: string;
}

/**
 * Every migration in order, as bundled text. Until the first release `000001_initial.sql` is edited; from then on this
 * list is append-only, and the checksum of each applied migration is compared with its file.
 */
export const migrations: readonly Migration[] = [{ version: 1, name: 'initial', sql: initial }];
