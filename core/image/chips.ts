/** A chip, named as in Espressif's image header. */
export interface Chip {
  readonly name: string;
  /** `chip_id` of the header (esp_app_format.h, esptool targets); the ESP8266 has none. */
  readonly id: number | null;
  /** Load addresses that are mapped from flash, end exclusive (soc.h: SOC_DROM_*, SOC_IROM_*; esptool MEMORY_MAP). */
  readonly flashWindows: readonly (readonly [start: number, end: number])[];
  /**
   * The smallest MMU page that the chip can be built for (soc_caps.h, SOC_MMU_PAGE_SIZE_CONFIGURABLE); {@link
   * MAX_PAGE_BYTES} if the size is fixed.
   */
  readonly minPageBytes: number;
}

const KB = 1024;
/** The default MMU page of every chip, and the only one of most chips. */
export const MAX_PAGE_BYTES = 64 * KB;

const chip = (id: number | null, name: string, minPageKb: number, ...flashWindows: [number, number][]): Chip => ({
  id,
  name,
  flashWindows,
  minPageBytes: minPageKb * KB,
});

export const CHIPS: readonly Chip[] = [
  chip(0, 'ESP32', 64, [0x3f400000, 0x3f800000], [0x400d0000, 0x40400000]),
  chip(2, 'ESP32-S2', 64, [0x3f000000, 0x3ff80000], [0x40080000, 0x40800000]),
  chip(5, 'ESP32-C3', 64, [0x3c000000, 0x3c800000], [0x42000000, 0x42800000]),
  chip(9, 'ESP32-S3', 64, [0x3c000000, 0x3e000000], [0x42000000, 0x44000000]),
  chip(12, 'ESP32-C2', 16, [0x3c000000, 0x3c400000], [0x42000000, 0x42400000]),
  chip(13, 'ESP32-C6', 8, [0x42000000, 0x43000000]),
  chip(16, 'ESP32-H2', 8, [0x42000000, 0x43000000]),
  chip(18, 'ESP32-P4', 64, [0x40000000, 0x4c000000]),
  chip(20, 'ESP32-C61', 8, [0x42000000, 0x44000000]),
  chip(23, 'ESP32-C5', 64, [0x42000000, 0x44000000]),
  chip(25, 'ESP32-H21', 8, [0x42000000, 0x43000000]),
  chip(28, 'ESP32-H4', 8, [0x42000000, 0x44000000]),
  chip(31, 'ESP32-E22', 64, [0x3c000000, 0x40000000]),
  chip(32, 'ESP32-S31', 32, [0x40000000, 0x54000000]),
];

export const ESP8266 = 'ESP8266';
export const ESP8266_CHIP = chip(null, ESP8266, 64, [0x40200000, 0x40300000]);

export const CHIP_NAMES: readonly string[] = [...CHIPS.map(({ name }) => name), ESP8266];

export const chipById = (id: number): Chip | undefined => CHIPS.find((candidate) => candidate.id === id);

export const isFlashMapped = ({ flashWindows }: Chip, loadAddress: number): boolean =>
  flashWindows.some(([start, end]) => loadAddress >= start && loadAddress < end);

/**
 * Addresses to which the ESP8266 loads segments: RAM, IRAM (including 4010F000 of the Arduino bootloader) and mapped
 * flash.
 */
const ESP8266_LOAD_WINDOWS = [
  [0x3ffe8000, 0x40000000],
  [0x40100000, 0x40110000],
  [0x40200000, 0x40300000],
] as const;

/**
 * True if the 32 bits at offset 8 of an image show that it is for the ESP8266: there they are the load address of the
 * first segment. On the ESP32 family they are the pins of the flash chip, which never have values in these ranges.
 */
export const isEsp8266LoadAddress = (address: number): boolean =>
  ESP8266_LOAD_WINDOWS.some(([start, end]) => address >= start && address < end);

/** A part of a name that could be a variant of the ESP32, known to this service or not: `s3`, `c61`, `h9`. */
const VARIANT = /^[cehps]\d/;

/**
 * The chip that one word of a device model's name states: `esp32-s3`, `esp32s3-van`, `esp32`, `esp8266-wired`.
 * Undefined if the name states no chip (`lilygo-t-display-s3`), an unknown one (`esp32-s9`), or two.
 */
export function chipOfModelName(model: string): string | undefined {
  const words = model.toLowerCase().split(/[^a-z0-9]+/);
  const stated = words.flatMap((word, index) => (word.startsWith('esp') ? [chipOfWords(word, words[index + 1])] : []));
  const [first] = stated;
  return stated.every((name) => name === first) ? first : undefined;
}

function chipOfWords(word: string, next = ''): string | undefined {
  const name = word === 'esp32' && VARIANT.test(next) ? `esp32${next}` : word;
  return CHIP_NAMES.find((candidate) => candidate.toLowerCase().replace('-', '') === name);
}
