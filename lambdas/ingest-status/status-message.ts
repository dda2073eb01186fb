import type { DeviceReport } from '../../core/devices/index.ts';
import type { RuleMessage } from '../../core/ingest/index.ts';
import { excerpt, isObject } from '../../core/ingest/index.ts';
import { normalizeMacAddress } from '../../core/util/index.ts';

/**
 * Maximum characters of a version or model. A longer one is rejected, because two truncated versions could become
 * equal.
 */
const WORD_LENGTH = 64;
const text = (value: unknown) => (typeof value === 'string' && value.trim() !== '' ? value.trim() : null);

/** Larger statuses are not stored with the device, because they would slow down every reader of its row. */
const MAX_STATUS_BYTES = 8 * 1024;

export type StatusResult =
  | { readonly ok: true; readonly report: DeviceReport }
  | { readonly ok: false; readonly reason: string };

/**
 * Parses a status in any form that field firmware sends. The device's clock is ignored: before NTP it states 1970, a
 * time of day, or nothing.
 */
export function parseStatus({ deviceId, clientId, receivedAt, payload }: RuleMessage): StatusResult {
  const version = readWord(payload, 'firmware_version');
  const model = readWord(payload, 'device_model');
  if (!version.ok) return version;
  if (!model.ok) return model;
  const wifi = isObject(payload.wifi) ? payload.wifi : {};
  const macAddress =
    normalizeMacAddress(text(payload.mac) ?? text(payload.mac_address) ?? text(wifi.mac) ?? '') ?? null;
  const isLastWill = payload.online === false;
  return {
    ok: true,
    report: {
      deviceId,
      clientId,
      macAddress,
      macReceivedAt: macAddress === null ? null : receivedAt,
      model: model.value,
      modelReceivedAt: model.value === null ? null : receivedAt,
      version: version.value,
      versionReceivedAt: version.value === null ? null : receivedAt,
      online: !isLastWill,
      reachabilityReceivedAt: receivedAt,
      lastSeen: isLastWill ? null : receivedAt,
      uptimeSeconds: readInteger(payload.uptime_seconds ?? payload.uptime_s, 0, Number.MAX_SAFE_INTEGER),
      signalStrengthDbm: readInteger(payload.signal_strength_dbm ?? wifi.rssi, -1000, 1000),
      status: isLastWill ? null : keep(payload),
    },
  };
}

type Word = { readonly ok: true; readonly value: string | null } | { readonly ok: false; readonly reason: string };

function readWord(payload: Record<string, unknown>, field: string): Word {
  const value = payload[field];
  if (value === undefined || value === null || value === '') return { ok: true, value: null };
  const word = typeof value === 'string' ? value.trim() : '';
  if (word.length >= 1 && word.length <= WORD_LENGTH) return { ok: true, value: word };
  return { ok: false, reason: `${field} is ${excerpt(value)}; expected text of 1 to ${WORD_LENGTH} characters` };
}

function readInteger(value: unknown, min: number, max: number): number | null {
  if (typeof value !== 'number' || !Number.isFinite(value)) return null;
  const whole = Math.trunc(value);
  return whole >= min && whole <= max ? whole : null;
}

function keep(payload: object): object {
  return Buffer.byteLength(JSON.stringify(payload)) <= MAX_STATUS_BYTES ? payload : {};
}
