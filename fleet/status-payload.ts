/** Status formats of the firmware generations in the field. */
export type StatusForm = 'seed' | '1.1.0' | '1.2.3' | '1.3.0' | '1.4.2' | '1.4.2-s3';

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

/** The payload of a status, with the fields and names of a format. */
export function statusPayload(form: StatusForm, facts: StatusFacts): Record<string, unknown> {
  return FORMS[form](facts);
}

const FORMS: Record<StatusForm, (facts: StatusFacts) => Record<string, unknown>> = {
  seed: ({ version, model, mac, rssiDbm }) => ({
    firmware_version: version,
    device_model: model,
    wifi: { mac, rssi: rssiDbm },
  }),
  '1.1.0': fieldStatus,
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
  '1.4.2-s3': fieldStatus,
};

/** The status of 1.1.0 and 1.4.2 on an ESP32-S3, as captured. */
function fieldStatus(facts: StatusFacts): Record<string, unknown> {
  const { deviceId, mac, timestamp, rssiDbm, uptimeSeconds, version, model } = facts;
  return {
    online: true,
    device_id: deviceId,
    mac_address: mac,
    last_seen: inFinnishWinterTime(timestamp),
    signal_strength_dbm: rssiDbm,
    uptime_seconds: uptimeSeconds,
    firmware_version: version,
    device_model: model,
    state: 'continuous',
    heater_status: 'off',
    active_scenario: 'heater_active',
  };
}

/** The settings that firmware retains at each connect. */
export function configPayload(version: string): Record<string, unknown> {
  return {
    version,
    timing: { wake_interval_s: 10 },
    sensors: { ble: { enabled: true }, wired: { enabled: true }, flow: { enabled: false } },
    power: { deep_sleep_enabled: false },
  };
}

const TWO_HOURS_MS = 2 * 3600 * 1000;

const inFinnishWinterTime = (timestamp: string): string =>
  `${new Date(Date.parse(timestamp) + TWO_HOURS_MS).toISOString().slice(0, 19)}+02:00`;

/** The last will, which the broker publishes for a device that ended without a DISCONNECT. */
export const LAST_WILL = '{"online":false}';

/** An ISO 8601 time in UTC with whole seconds, as the firmware writes it. */
export function deviceTimestamp(epochMs: number): string {
  return `${new Date(epochMs).toISOString().slice(0, 19)}Z`;
}
