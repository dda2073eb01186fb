/** Status formats of the firmware generations in the field. */
export type StatusForm = 'seed' | '1.2.3' | '1.3.0' | '1.4.2';

/** The content of a status message. */
export interface StatusFacts {
  readonly deviceId: string;
  readonly model: string;
  readonly version: string;
  readonly mac: string;
  readonly rssiDbm: number;
  readonly uptimeSeconds: number;
  readonly timestamp: string;
}

/** The payload of a status, with the fields and names of a format. Only `seed` contains the MAC address. */
export function statusPayload(form: StatusForm, facts: StatusFacts): Record<string, unknown> {
  return FORMS[form](facts);
}

const FORMS: Record<StatusForm, (facts: StatusFacts) => Record<string, unknown>> = {
  seed: ({ version, model, mac, rssiDbm }) => ({
    firmware_version: version,
    device_model: model,
    wifi: { mac, rssi: rssiDbm },
  }),
  '1.2.3': ({ timestamp, rssiDbm, uptimeSeconds, version }) => ({
    online: true,
    last_seen: timestamp,
    signal_strength_dbm: rssiDbm,
    uptime_seconds: uptimeSeconds,
    firmware_version: version,
    state: 'continuous',
    heater_status: 1,
    active_scenario: 'heater_active',
  }),
  '1.3.0': ({ timestamp, uptimeSeconds, rssiDbm, deviceId, version, model }) => ({
    timestamp,
    state: 'COLLECT',
    uptime_s: uptimeSeconds,
    wifi: { connected: true, rssi: rssiDbm, ip: '192.168.1.42' },
    mqtt: { connected: true },
    device_id: deviceId,
    firmware_version: version,
    device_model: model,
  }),
  '1.4.2': ({ deviceId, version, model, timestamp, rssiDbm, uptimeSeconds }) => ({
    device_id: deviceId,
    firmware_version: version,
    device_model: model,
    online: true,
    last_seen: timestamp,
    signal_strength_dbm: rssiDbm,
    uptime_seconds: uptimeSeconds,
  }),
};

/** The last will, which the broker publishes for a device that ended without a DISCONNECT. */
export const LAST_WILL = '{"online":false}';

/** An ISO 8601 time in UTC with whole seconds, as the firmware writes it. */
export function deviceTimestamp(epochMs: number): string {
  return `${new Date(epochMs).toISOString().slice(0, 19)}Z`;
}
