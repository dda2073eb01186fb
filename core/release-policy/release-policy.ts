import type { ParsedImage, Warning } from '../image/index.ts';
import { ARDUINO_PROJECT, chipOfModelName } from '../image/index.ts';
import { compareVersions, DEVICE_VERSION_LENGTH } from '../protocol/index.ts';
import type { ModelSettings } from './model-settings.ts';

/** What the uploader states about an image, as object metadata. */
export interface ReleaseNotes {
  readonly minVersion: string | null;
  readonly changelog: string | null;
  readonly releaseNotes: string | null;
  /** Codes of refusals that the uploader overrides. */
  readonly allow: readonly string[];
}

/** The refusals that an upload may override, by their codes in its metadata. */
export const OVERRIDABLE = ['OTHER_PROJECT'] as const;
export type Overridable = (typeof OVERRIDABLE)[number];

export type ReleaseRefusal = { readonly verdict: string; readonly message: string };

/** Longest stored changelog or release notes, in characters. S3 limits metadata to 2 KB in total. */
const NOTES_LENGTH = 2_048;

/**
 * Parses object metadata, whose keys S3 returns in lower case. An invalid `min-version` is refused, because it would
 * exclude every device.
 */
export function parseReleaseNotes(metadata: Readonly<Record<string, string>>): ReleaseNotes | ReleaseRefusal {
  const text = (key: string) => metadata[key]?.trim().slice(0, NOTES_LENGTH) || null;
  const minVersion = text('min-version');
  if (minVersion !== null && compareVersions(minVersion, minVersion) === undefined) {
    return { verdict: 'BAD_METADATA', message: `min-version is "${minVersion}", expected a version like 1.2.0` };
  }
  const allow = (text('allow') ?? '').split(/[\s,]+/).filter((code) => code !== '');
  const unknown = allow.find((code) => !OVERRIDABLE.some((known) => known === code));
  if (unknown !== undefined) {
    return { verdict: 'BAD_METADATA', message: `allow is "${unknown}", expected ${OVERRIDABLE.join(', ')}` };
  }
  return { allow, minVersion, changelog: text('changelog'), releaseNotes: text('release-notes') };
}

/** The chip that a model is known to have before its first release: from its settings, or from its name. */
export function expectedChip(deviceModel: string, settings: ModelSettings): string | undefined {
  return settings.chip ?? chipOfModelName(deviceModel);
}

/** Checks that the image fits the model. @returns the refusal; undefined if it fits */
export function evaluateFit(
  image: ParsedImage,
  sizeBytes: number,
  deviceModel: string,
  chip: string,
  settings: ModelSettings,
): ReleaseRefusal | undefined {
  if (image.chip !== chip) {
    return { verdict: 'WRONG_CHIP', message: `the image is for ${image.chip}, model ${deviceModel} has ${chip}` };
  }
  const { otaPartitionBytes } = settings;
  if (otaPartitionBytes !== undefined && sizeBytes > otaPartitionBytes) {
    const message = `the image is ${sizeBytes} bytes, the OTA partition of model ${deviceModel} holds ${otaPartitionBytes}`;
    return { verdict: 'LARGER_THAN_PARTITION', message };
  }
  return undefined;
}

/** The release of a model with the highest anti-rollback counter. */
export interface HighestSecureVersion {
  readonly version: string;
  readonly secureVersion: number;
}

/**
 * Refuses an image with a lower anti-rollback counter than an earlier release: a device whose eFuse holds a higher
 * counter never boots it (ESP-IDF, ota.rst, "Anti-rollback"). @returns the refusal; undefined if the image is accepted
 */
export function evaluateSecureVersion(
  image: ParsedImage,
  deviceModel: string,
  highest: HighestSecureVersion | undefined,
): ReleaseRefusal | undefined {
  const secureVersion = image.descriptor?.secureVersion ?? 0;
  if (highest === undefined || secureVersion >= highest.secureVersion) return undefined;
  return {
    verdict: 'LOWER_SECURE_VERSION',
    message: `secure_version of the image is ${secureVersion}, but ${highest.secureVersion} in release ${highest.version} for ${deviceModel}: a device with anti-rollback that has run that release never boots this image; raise it, or set allowLowerSecureVersion if this is intended`,
  };
}

/** Warnings about a version that is unusual but acceptable. */
export function versionWarnings(version: string, image: ParsedImage): Warning[] {
  const warnings: Warning[] = [];
  const { descriptor } = image;
  // An Arduino build embeds the version of its core, whatever the sketch is.
  const inside = descriptor?.projectName === ARDUINO_PROJECT ? undefined : descriptor?.version;
  if (inside !== undefined && inside !== '' && inside.replace(/^v/, '') !== version.replace(/^v/, '')) {
    const message = `the image embeds the version "${inside}", the upload is ${version}; an update is proven by the version that the device reports`;
    warnings.push({ code: 'OTHER_VERSION_INSIDE', message });
  }
  if (version.length > DEVICE_VERSION_LENGTH) {
    const message = `${version.length} characters; field devices read ${DEVICE_VERSION_LENGTH}, and the command may not fit their packet limit`;
    warnings.push({ code: 'LONG_VERSION', message });
  }
  return warnings;
}
