import * as z from 'zod';
import { normalizeModel } from '../protocol/index.ts';
import {
  DEVICE_ID,
  type DeviceId,
  describeErrors,
  normalizeMacAddress,
  nothingElse,
  type Result,
} from '../util/index.ts';
import { type AttributeCondition, attributeConditions, MAX_VALUES } from './attribute-conditions.ts';
import { type FactCondition, factConditions } from './fact-conditions.ts';

const macAddress = z.string().transform((text, context) => {
  const normal = normalizeMacAddress(text);
  if (normal === undefined) context.addIssue(`"${text}" is not a MAC address; expected a form like AA:BB:CC:DD:EE:FF`);
  return normal ?? z.NEVER;
});

const name = z.string().min(1).max(64);

const hasEntries = (values: object) => Object.keys(values).length > 0;
const notEmpty = { error: 'must not be empty' };

/** Devices that are excluded: a device that meets one of the conditions. An empty one would exclude no device. */
const exceptions = z
  .strictObject({
    device_ids: z.array(z.string().regex(DEVICE_ID)).min(1).optional(),
    mac_addresses: z.array(macAddress).min(1).optional(),
    groups: z.array(name).min(1).max(MAX_VALUES).optional(),
    versions: z.array(name).min(1).max(MAX_VALUES).optional(),
    /** A device without such an attribute is not excluded. */
    metadata: attributeConditions.refine(hasEntries, notEmpty).optional(),
    /** A device that does not state such a fact is not excluded. */
    facts: factConditions.refine(hasEntries, notEmpty).optional(),
  })
  .refine(hasEntries, notEmpty);

/**
 * The devices that a rollout targets; all given conditions must hold. An unknown key is an error, because a misspelled
 * key must not select every device.
 */
export const targetFilter = z.strictObject({
  device_ids: z.array(z.string().regex(DEVICE_ID)).optional(),
  mac_addresses: z.array(macAddress).optional(),
  groups: z.array(name).optional(),
  group: name.optional(),
  models: z.array(name).optional(),
  versions: z.array(name).optional(),
  /** Attributes of the device; it must have all of them. */
  metadata: attributeConditions.optional(),
  /** What the device states about itself; it must state all of them. */
  facts: factConditions.optional(),
  /** Devices that another rollout updated from one of these versions; set for a recovery. */
  recovers: z
    .strictObject({ rollout: z.number().int().positive(), previous_versions: z.array(name).min(1) })
    .optional(),
  except: exceptions.optional(),
});

/** The devices that a recovery sends back: those that a rollout updated from one of these versions. */
export interface Recovered {
  readonly rollout: number;
  readonly previousVersions: readonly string[];
}

/** True if the target filter is that of a recovery. */
export const isRecovery = (filter: unknown): boolean =>
  typeof filter === 'object' && filter !== null && 'recovers' in filter;

export const TARGET_TYPES = ['all', 'group', 'canary', 'specific'] as const;
export type TargetType = (typeof TARGET_TYPES)[number];

/** Conditions of which none may hold. A missing one excludes no device. */
export interface Exceptions {
  readonly deviceIds?: readonly DeviceId[] | undefined;
  readonly macAddresses?: readonly string[] | undefined;
  readonly groups?: readonly string[] | undefined;
  readonly versions?: readonly string[] | undefined;
  readonly metadata?: Readonly<Record<string, AttributeCondition>> | undefined;
  readonly facts?: Readonly<Record<string, FactCondition>> | undefined;
}

export interface Target {
  readonly deviceIds: readonly DeviceId[] | null;
  readonly macAddresses: readonly string[] | null;
  readonly groups: readonly string[] | null;
  readonly models: readonly string[] | null;
  readonly versions: readonly string[] | null;
  readonly metadata: Readonly<Record<string, AttributeCondition>>;
  readonly facts: Readonly<Record<string, FactCondition>>;
  readonly recovers: Recovered | null;
  /** Null: no device is excluded. */
  readonly except: Exceptions | null;
}

/** The Data API limits a result row to 64 KB, and the rest of the rollout needs room too. */
const MAX_FILTER_BYTES = 48 * 1024;

/**
 * Selects a jsonb column, or its length if its text is longer than `maxBytes`: one oversized row would fail the whole
 * statement.
 */
export const boundedJson = (column: string, maxBytes: number) =>
  `CASE WHEN octet_length(${column}::text) > ${maxBytes} THEN to_jsonb(octet_length(${column}::text)) ELSE ${column} END`;

/**
 * Selects `target_filter` of the rollout `alias`. The limit leaves room for spaces, which {@link MAX_FILTER_BYTES} does
 * not count.
 */
export const boundedFilter = (alias: string) => `${boundedJson(`${alias}.target_filter`, 56 * 1024)} AS target_filter`;

/**
 * Parses the target of a rollout. `group` needs a group, `specific` needs device ids or MAC addresses, `canary` needs
 * either of them or a percentage below 100. With both ids and MAC addresses, a device may match by either.
 */
export function parseTarget(type: TargetType, filter: unknown, percentage: number): Result<Target> {
  const bytes = typeof filter === 'number' ? filter : Buffer.byteLength(JSON.stringify(filter));
  if (bytes > MAX_FILTER_BYTES) {
    const reason = `target_filter: ${bytes} bytes of JSON, at most ${MAX_FILTER_BYTES} can be read; put the devices into a group`;
    return { ok: false, reason };
  }
  const parsed = targetFilter.safeParse(filter);
  if (!parsed.success) return { ok: false, reason: `target_filter: ${describeErrors(parsed.error)}` };
  const { device_ids, mac_addresses, groups, group, models, versions, metadata, facts, recovers, except, ...others } =
    parsed.data;
  nothingElse(others);
  const named = groups !== undefined || group !== undefined ? [...(groups ?? []), ...(group ? [group] : [])] : null;
  const listed = device_ids !== undefined || mac_addresses !== undefined || recovers !== undefined;
  if (type === 'group' && named === null)
    return { ok: false, reason: 'target_type "group" needs target_filter.groups' };
  if (type === 'specific' && !listed) {
    return {
      ok: false,
      reason: 'target_type "specific" needs target_filter.device_ids or target_filter.mac_addresses',
    };
  }
  if (type === 'canary' && !listed && named === null && percentage === 100) {
    return { ok: false, reason: 'target_type "canary" needs devices, groups or a rollout_percentage below 100' };
  }
  return {
    ok: true,
    value: {
      deviceIds: device_ids ?? null,
      macAddresses: mac_addresses ?? null,
      groups: named,
      models: models?.map(normalizeModel) ?? null,
      versions: versions ?? null,
      metadata: metadata ?? {},
      facts: facts ?? {},
      recovers: recovers ? { rollout: recovers.rollout, previousVersions: recovers.previous_versions } : null,
      except: except ? toExceptions(except) : null,
    },
  };
}

function toExceptions({ device_ids, mac_addresses, groups, versions, metadata, facts, ...others }: ParsedExceptions) {
  nothingElse(others);
  return { deviceIds: device_ids, macAddresses: mac_addresses, groups, versions, metadata, facts };
}
type ParsedExceptions = z.infer<typeof exceptions>;
