import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ESP8266 } from '../../../core/image/chips.ts';
import { type InspectOptions, inspectImage, type ParsedImage } from '../../../core/image/inspect-image.ts';

/**
 * Images published by others. The folder contains a manifest.json, an array of the type below, and the files that it
 * names. Missing files are reported as skipped.
 */
const folder = process.env.PAKU_OTA_FIRMWARE_SAMPLES ?? '';

interface Check {
  readonly offset?: number;
  readonly stored: string | number;
  readonly calculated: string | number;
}

interface Sample {
  readonly file: string;
  readonly size: number;
  readonly sha256: string;
  readonly expect: { readonly verdict: string; readonly detail: string };
  readonly parsed?: {
    readonly header?: Record<string, string | number>;
    /** The only header fields of an ESP8266. */
    readonly count?: number;
    readonly entry_addr?: string;
    readonly segments?: readonly { load_addr: string; data_len: number; data_offset: number; flash_mapped?: boolean }[];
    readonly checksum?: Check;
    readonly hash?: Check;
    readonly image_len?: number;
    readonly trailing_bytes?: number;
    readonly app_desc?: Record<string, string | number>;
    readonly bootloader_desc?: Record<string, string | number>;
  };
}

const manifest = join(folder, 'manifest.json');
const samples: Sample[] = folder === '' ? [] : JSON.parse(readFileSync(manifest, 'utf8'));

const inspectFile = ({ file, size }: Sample, options: Partial<InspectOptions> = {}) =>
  inspectImage(createReadStream(join(folder, file)), { sizeBytes: size, ...options });

const hex = (value: number, digits = 8) => `0x${value.toString(16).padStart(digits, '0')}`;

/** The parser's result with the field names of the manifest. */
function inManifestWords(image: ParsedImage) {
  const { header, descriptor, bootloader, appendedSha256, checksum } = image;
  return {
    header: header && {
      magic: '0xe9',
      segment_count: image.segments.length,
      spi_mode: image.spiMode,
      spi_speed: image.spiSpeed,
      spi_size: image.spiSize,
      entry_addr: hex(image.entryAddress),
      wp_pin: header.wpPin,
      spi_pin_drv: header.pinDrive,
      chip_id: header.chipId,
      chip: image.chip,
      min_chip_rev: header.legacyMinChipRevision,
      min_chip_rev_full: image.minChipRevision,
      max_chip_rev_full: image.maxChipRevision,
      reserved: header.reserved,
      hash_appended: Number(header.hashAppended),
    },
    segments: image.segments.map(({ loadAddress, dataBytes, fileOffset, flashMapped }) => ({
      load_addr: hex(loadAddress),
      data_len: dataBytes,
      data_offset: fileOffset,
      flash_mapped: flashMapped,
    })),
    checksum: {
      offset: checksum.offset,
      stored: hex(checksum.stored, 2),
      calculated: hex(checksum.calculated, 2),
      ok: checksum.stored === checksum.calculated,
    },
    image_len: image.imageBytes,
    trailing_bytes: image.trailingBytes,
    hash: appendedSha256 && { ...appendedSha256, ok: appendedSha256.stored === appendedSha256.calculated },
    app_desc: descriptor && {
      secure_version: descriptor.secureVersion,
      version: descriptor.version,
      project: descriptor.projectName,
      time: descriptor.time,
      date: descriptor.date,
      idf: descriptor.idfVersion,
      elf: descriptor.elfSha256,
      min_blk: descriptor.minEfuseBlockRevision,
      max_blk: descriptor.maxEfuseBlockRevision,
      mmu: descriptor.mmuPageSize,
      spi_flash_mode: descriptor.spiFlashMode,
    },
    bootloader_desc: bootloader && {
      secure_version: bootloader.secureVersion,
      version: bootloader.version,
      idf: bootloader.idfVersion,
      dt: bootloader.dateTime,
    },
  };
}

/** The manifest counts the hash that the RTOS SDK appends to an ESP8266 image as trailing bytes. */
const inManifestWordsOfEsp8266 = (image: ParsedImage, size: number) => ({
  count: image.segments.length,
  entry_addr: hex(image.entryAddress),
  segments: image.segments.map(({ loadAddress, dataBytes, fileOffset }) => ({
    load_addr: hex(loadAddress),
    data_len: dataBytes,
    data_offset: fileOffset,
  })),
  checksum: { stored: image.checksum.stored, calculated: image.checksum.calculated },
  image_len: image.checksum.offset + 1,
  trailing_bytes: size - image.checksum.offset - 1,
});

describe.skipIf(folder === '')('published images (PAKU_OTA_FIRMWARE_SAMPLES)', () => {
  test('the manifest lists at least one image', () => {
    expect(samples.length).toBeGreaterThan(0);
  });

  for (const sample of samples) {
    test.skipIf(!existsSync(join(folder, sample.file)))(
      `${sample.file} is ${sample.expect.verdict}, with the values of the manifest`,
      async () => {
        const bytes = readFileSync(join(folder, sample.file));
        expect(createHash('sha256').update(bytes).digest('hex'), 'this is another file').toBe(sample.sha256);
        const { verdict, message, sha256, image } = await inspectFile(sample);
        expect({ verdict, sha256 }).toEqual({ verdict: sample.expect.verdict, sha256: sample.sha256 });
        if (/descriptor, idf|partition table at|ota_seq/.test(sample.expect.detail))
          expect(message).toContain(sample.expect.detail);
        if (verdict === 'ESP8266_V1' || sample.parsed?.image_len === undefined) return;
        if (image === null) throw new Error(`no parsed image: ${message}`);
        const found = inManifestWords(image);
        expect(found).toMatchObject(sample.parsed);
        expect(Object.keys(found).filter((key) => found[key as keyof typeof found] !== null)).toEqual(
          Object.keys(found).filter((key) => key in (sample.parsed ?? {})),
        );
      },
    );
  }

  for (const sample of samples.filter(({ expect: { verdict } }) => verdict === 'ESP8266_V1')) {
    test.skipIf(!existsSync(join(folder, sample.file)))(
      `${sample.file} is read completely for a model that has an ${ESP8266}`,
      async () => {
        const { verdict, image } = await inspectFile(sample, { acceptEsp8266: true });
        expect(verdict).toBe(sample.file.includes('boot') ? 'NO_FLASH_SEGMENTS' : 'ACCEPT');
        if (image === null) throw new Error('no parsed image');
        expect(inManifestWordsOfEsp8266(image, sample.size)).toMatchObject(sample.parsed ?? {});
      },
    );
  }
});
