import initial from './000001_initial.sql';
import rollouts from './000002_rollouts.sql';
import operators from './000003_operators.sql';
import percentage from './000004_percentage.sql';
import history from './000005_history.sql';
import identity from './000006_identity.sql';
import flatTicks from './000007_flat_ticks.sql';
import counts from './000008_counts.sql';
import sums from './000009_sums.sql';
import hotHeartbeats from './000010_hot_heartbeats.sql';
import leftGroups from './000011_left_groups.sql';
import halted from './000012_halted.sql';
import rejectionsByTime from './000013_rejections_by_time.sql';

export interface Migration {
  readonly version: number;
  readonly name: string;
  readonly sql: string;
}

/** Every migration in order. Append only: a released one is never edited. */
export const migrations: readonly Migration[] = [
  { version: 1, name: 'initial', sql: initial },
  { version: 2, name: 'rollouts', sql: rollouts },
  { version: 3, name: 'operators', sql: operators },
  { version: 4, name: 'percentage', sql: percentage },
  { version: 5, name: 'history', sql: history },
  { version: 6, name: 'identity', sql: identity },
  { version: 7, name: 'flat_ticks', sql: flatTicks },
  { version: 8, name: 'counts', sql: counts },
  { version: 9, name: 'sums', sql: sums },
  { version: 10, name: 'hot_heartbeats', sql: hotHeartbeats },
  { version: 11, name: 'left_groups', sql: leftGroups },
  { version: 12, name: 'halted', sql: halted },
  { version: 13, name: 'rejections_by_time', sql: rejectionsByTime },
];
