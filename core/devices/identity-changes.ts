import type { Sql } from '../db/index.ts';

/** A device that reported another model or MAC address, or the MAC address of another device. */
export interface IdentityChange {
  readonly device_id: string;
  readonly event: 'model_changed' | 'mac_changed' | 'mac_shared';
  readonly detail: Record<string, unknown>;
  /** Devices with such a change in the last day, this one included. */
  readonly devices: number;
}

/** The newest change of identity in the last day; undefined if there was none. */
export async function findIdentityChange(sql: Sql, now: Date): Promise<IdentityChange | undefined> {
  const [row] = await sql.query<IdentityChange>(
    `SELECT e.device_id, e.event_type AS event, e.payload AS detail, n.devices
     FROM ota_events AS e, (
       SELECT count(DISTINCT device_id)::integer AS devices FROM ota_events
       WHERE event_type IN ('model_changed', 'mac_changed', 'mac_shared') AND received_at > :since::timestamptz
     ) AS n
     WHERE e.event_type IN ('model_changed', 'mac_changed', 'mac_shared') AND e.received_at > :since::timestamptz
     ORDER BY e.received_at DESC, e.id DESC LIMIT 1`,
    { since: new Date(now.getTime() - 86_400_000) },
  );
  return row;
}

/** The change as a phrase about its device. */
export function describeIdentityChange({ event, detail }: Pick<IdentityChange, 'event' | 'detail'>): string {
  switch (event) {
    case 'model_changed':
      return `reports the model ${detail.to}, before it was ${detail.from}`;
    case 'mac_changed':
      return `reports the MAC address ${detail.to}, before it was ${detail.from}`;
    case 'mac_shared':
      return `reports the MAC address ${detail.mac}, as does ${[detail.with].flat().join(', ')}`;
  }
}
