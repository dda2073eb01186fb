/** Statement of a device about itself. Operators set attributes; devices state facts. */
export type FactValue = string | number | boolean;

interface KnownFact {
  /** Text is stored as text, whatever the device sends. */
  readonly kind: 'number' | 'text';
  /** Other names that firmware uses; `flash.size` is the field `size` of the object `flash`. */
  readonly aliases: readonly string[];
  /** Bounds of a number. */
  readonly min?: number;
  readonly max?: number;
  /** True if it changes while the device runs. */
  readonly isVolatile: boolean;
}

const BYTES = { kind: 'number', max: 2 ** 40, isVolatile: false } as const;

/**
 * Facts whose names, types and limits the service knows. A device may state others in the object `facts` of its status.
 * A smaller size than the minimum is stated in kilobytes or megabytes.
 */
export const KNOWN_FACTS = {
  slot_bytes: {
    ...BYTES,
    min: 4096,
    aliases: ['slot_size', 'ota_slot_size', 'ota_partition_size', 'free_sketch_space', 'ota.slot_size'],
  },
  chip_revision: { kind: 'number', min: 0, max: 65_535, isVolatile: false, aliases: ['chip_rev', 'chip.revision'] },
  flash_bytes: { ...BYTES, min: 262_144, aliases: ['flash_size', 'flash_chip_size', 'flash.size'] },
  psram_bytes: { ...BYTES, min: 0, aliases: ['psram_size', 'psram.size'] },
  board_revision: {
    kind: 'text',
    isVolatile: false,
    aliases: ['board_rev', 'hardware_revision', 'hardware_version', 'hw_revision', 'hw_version', 'board.revision'],
  },
  battery_percent: {
    kind: 'number',
    min: 0,
    max: 100,
    isVolatile: true,
    aliases: ['battery_level', 'battery_pct', 'battery.percent', 'battery.level'],
  },
  free_heap_bytes: { ...BYTES, min: 0, isVolatile: true, aliases: ['free_heap', 'heap_free', 'heap.free'] },
  reset_reason: { kind: 'text', isVolatile: true, aliases: ['reset.reason'] },
} as const satisfies Record<string, KnownFact>;
export type KnownFactName = keyof typeof KNOWN_FACTS;

export const KNOWN_FACT_NAMES = Object.keys(KNOWN_FACTS) as KnownFactName[];

export const isKnownFact = (name: string): name is KnownFactName => Object.hasOwn(KNOWN_FACTS, name);

/** The definition of a known fact. */
export const knownFact = (name: KnownFactName): KnownFact => KNOWN_FACTS[name];

/**
 * Facts that change while a device runs. A heartbeat in which only these differ does not wake a service in
 * idle mode, and rollouts examine the device again only if their filter names the fact.
 */
export const VOLATILE_FACTS: readonly KnownFactName[] = KNOWN_FACT_NAMES.filter((name) => knownFact(name).isVolatile);

export const isVolatileFact = (name: string): boolean => isKnownFact(name) && knownFact(name).isVolatile;

const NAME_OF_ALIAS: ReadonlyMap<string, KnownFactName> = new Map(
  KNOWN_FACT_NAMES.flatMap((name) => knownFact(name).aliases.map((alias) => [alias, name] as const)),
);

/** The name under which a fact with another name is stored; undefined if the name is no alias. */
export const nameOfAlias = (alias: string): KnownFactName | undefined => NAME_OF_ALIAS.get(alias);

/** Names of facts that a device may choose. */
export const FACT_NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,31}$/;

/** Maximum characters of a text. */
export const FACT_TEXT_LENGTH = 64;

/** Maximum facts in the object `facts` of one status that are not known ones. */
export const MAX_FREE_FACTS = 16;

/** Maximum facts that are stored of one device: the known ones first, then those that were stated last. */
export const MAX_STORED_FACTS = KNOWN_FACT_NAMES.length + MAX_FREE_FACTS;

/** A chip revision as people write it: `v3.1` for 301. */
export const describeRevision = (revision: number): string => `v${Math.floor(revision / 100)}.${revision % 100}`;
