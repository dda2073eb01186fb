import type { DeviceReport } from '../../core/devices/index.ts';
import type { RuleMessage } from '../../core/ingest/index.ts';
import { excerpt, isNoWord, isObject, readBoolean, readNumber, readText } from '../../core/ingest/index.ts';
import { type FactValue, normalizeModel } from '../../core/protocol/index.ts';
import { isNoAddress, normalizeMacAddress } from '../../core/util/index.ts';
import { parseFacts } from './parse-facts.ts';

/**
 * Maximum characters of a version or model. A longer one is not used, because two truncated versions could become
 * equal.
 */
const WORD_LENGTH = 64;

/** Larger statuses are not stored with the device, because they would slow down every reader of its row. */
const MAX_STATUS_BYTES = 8 * 1024;

export interface ParsedStatus {
  readonly report: DeviceReport;
  /**
   * Why the message is recorded as rejected, although it shows that the device is alive: it could not be read at all, or
   * its version or model cannot be used. Null if it is not.
   */
  readonly rejection: string | null;
}

/**
 * Parses a status in any form that field firmware sends; each field counts that can be read. The device's clock is
 * ignored: before NTP it states 1970, a time of day, or nothing. Of a field with several spellings the first that can be
 * used counts.
 */
export function parseStatus(message: RuleMessage): ParsedStatus {
  const { deviceId, clientId, certificateId, receivedAt, payload, fault, isReadable } = message;
  const version = parseWord(payload, 'firmware_version');
  const model = parseWord(payload, 'device_model');
  const wifi = isObject(payload.wifi) ? payload.wifi : {};
  const macAddress = parseMac(payload.mac) ?? parseMac(payload.mac_address) ?? parseMac(wifi.mac);
  const isLastWill = readBoolean(payload.online) === false;
  const facts = isLastWill ? NO_FACTS : parseFacts(payload);
  const rejection = isReadable ? (version.fault ?? model.fault) : `payload cannot be read: ${fault}`;
  return {
    rejection,
    report: {
      deviceId,
      clientId,
      // The broker publishes a last will, not the device.
      certificateId: isLastWill ? null : certificateId,
      macAddress,
      macReceivedAt: macAddress === null ? null : receivedAt,
      model: model.value === null ? null : normalizeModel(model.value),
      modelReceivedAt: model.value === null ? null : receivedAt,
      version: version.value,
      versionReceivedAt: version.value === null ? null : receivedAt,
      online: !isLastWill,
      reachabilityReceivedAt: receivedAt,
      lastSeen: isLastWill ? null : receivedAt,
      uptimeSeconds: parseUptime(payload.uptime_seconds) ?? parseUptime(payload.uptime_s),
      signalStrengthDbm: parseSignal(payload.signal_strength_dbm) ?? parseSignal(wifi.rssi),
      status: isLastWill ? null : keep(payload),
      statusFault: rejection ?? fault ?? facts.fault,
      facts: statedAt(facts.values, receivedAt),
    },
  };
}

/** A last will was written when the device connected. */
const NO_FACTS = { values: {}, fault: null };

const statedAt = (values: Readonly<Record<string, FactValue>>, at: Date) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { value, at }]));

const parseUptime = (value: unknown) => parseInteger(value, 0, Number.MAX_SAFE_INTEGER);
const parseSignal = (value: unknown) => parseInteger(value, -1000, 1000);

/** Null for an address that belongs to no board, so that it replaces none. */
function parseMac(value: unknown): string | null {
  const mac = normalizeMacAddress(readText(value) ?? '');
  return mac === undefined || isNoAddress(mac) ? null : mac;
}

interface Word {
  readonly value: string | null;
  readonly fault: string | null;
}

function parseWord(payload: Record<string, unknown>, field: string): Word {
  const value = payload[field];
  const word = readText(value);
  const isAbsent = value === undefined || value === null || value === '';
  if (isAbsent || (word !== null && isNoWord(word))) return { value: null, fault: null };
  if (word !== null && word.length <= WORD_LENGTH) return { value: word, fault: null };
  return { value: null, fault: `${field} is ${excerpt(value)}; expected text of 1 to ${WORD_LENGTH} characters` };
}

function parseInteger(value: unknown, min: number, max: number): number | null {
  const number = readNumber(value);
  if (number === null) return null;
  const whole = Math.trunc(number);
  return whole >= min && whole <= max ? whole : null;
}

function keep(payload: object): object {
  return Buffer.byteLength(JSON.stringify(payload)) <= MAX_STATUS_BYTES ? payload : {};
}
