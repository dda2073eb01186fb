import type { TestSql } from './test-sql.ts';

/** What tests of a rollout read from its database. */
export class RolloutRows {
  readonly #sql: () => TestSql;

  /** @param sql is called when rows are read, because a test file opens its database later */
  constructor(sql: () => TestSql) {
    this.#sql = sql;
  }

  rolloutOf = async (name: string) => {
    const [row] = await this.#sql().query<{
      completed_at: Date | null;
      paused_reason: string | null;
      paused_by: string | null;
    }>('SELECT * FROM rollout_configurations WHERE name = :name', { name });
    return row;
  };

  /** The newest update of a device. */
  updateOf = async (device: string) => {
    const [row] = await this.#sql().query(
      'SELECT * FROM device_update_status WHERE device_id = :device ORDER BY id DESC LIMIT 1',
      { device },
    );
    return row;
  };

  countByStatus = async () => {
    const rows = await this.#sql().query<{ status: string; n: number }>(
      'SELECT status, count(*)::integer AS n FROM device_update_status GROUP BY status ORDER BY status',
    );
    return Object.fromEntries(rows.map(({ status, n }) => [status, n]));
  };

  /** The events of rollouts, oldest first. */
  eventTypes = async () => {
    const rows = await this.#sql().query<{ event_type: string }>(
      'SELECT event_type FROM ota_events WHERE device_id IS NULL ORDER BY id',
    );
    return rows.map(({ event_type }) => event_type);
  };
}
