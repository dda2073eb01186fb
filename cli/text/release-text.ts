import type { RejectedUpload, Release, ReleaseDetail } from '../../api/releases.ts';
import { uploaderText } from '../../api/uploader-text.ts';
import { recoverText } from './recovery-text.ts';
import { bold, green, red, yellow } from './style.ts';
import { facts, table } from './table.ts';
import { ago, bytes, caller, count, instantAgo } from './units.ts';

export function releaseTable(releases: readonly Release[], now: Date): string[] {
  if (releases.length === 0) return ['No releases. Add one: paku-ota release add build/firmware.bin --model esp32-s3'];
  return table(releases, [
    { head: 'MODEL', value: ({ device_model }) => device_model },
    { head: 'VERSION', value: ({ version }) => version },
    { head: 'CHIP', value: ({ chip }) => chip },
    { head: 'SIZE', value: ({ file_size }) => bytes(file_size), align: 'right' },
    { head: 'DEVICES', value: ({ devices }) => devices, align: 'right' },
    { head: 'REGISTERED', value: ({ created_at }) => ago(created_at, now) },
    { head: 'REMARKS', value: remarks },
  ]);
}

function remarks({ revoked_at, revoked_reason, untrusted_reason, warnings, changelog }: Release): string {
  if (revoked_at !== null) return red(`revoked: ${revoked_reason}`);
  if (untrusted_reason !== null) return red(`not trusted: ${untrusted_reason}`);
  return [warnings.length === 0 ? '' : yellow(count(warnings.length, 'warning')), changelog ?? '']
    .filter((part) => part !== '')
    .join('  ');
}

export function releaseText(release: ReleaseDetail, now: Date): string[] {
  const { image } = release;
  const descriptor = (image.descriptor ?? {}) as Record<string, unknown>;
  const text = (value: unknown) => (value === undefined || value === '' ? null : String(value));
  return [
    `${bold(`${release.device_model} ${release.version}`)}${release.revoked_at === null ? '' : red('  revoked')}`,
    ...facts([
      [
        'revoked',
        release.revoked_at && `${instantAgo(release.revoked_at, now)} by ${caller(release.revoked_by ?? '')}`,
      ],
      ['because', release.revoked_reason],
      ['not trusted', release.untrusted_reason],
      ['registered', instantAgo(release.created_at, now)],
      ['runs on', count(release.devices, 'device')],
      ['chip', release.chip],
      ['size', bytes(release.file_size)],
      ['SHA-256', release.checksum_sha256],
      ['signed by', release.signing_key && `${signerKind(release)} ${release.signing_key}`],
      ['signed until', release.signature_expires_at],
      ['calls itself', [release.project_name, release.app_version].filter(Boolean).join(' ')],
      ['ESP-IDF', text(descriptor.idfVersion)],
      ['built', text([descriptor.date, descriptor.time].filter(Boolean).join(' '))],
      ['needs at least', release.min_version],
      ['changelog', release.changelog],
      ['notes', release.release_notes],
      ['uploaded as', release.uploaded_key],
      ['uploaded by', uploaderText(release, caller)],
    ]),
    ...warningLines(release),
    ...(release.revoked_at === null || release.devices === 0 ? [] : recoverText(release.recoverable)),
  ];
}

const signerKind = ({ manifest }: ReleaseDetail) => (manifest === null ? 'secure boot key' : 'key');

export const warningLines = ({ warnings }: Release): string[] =>
  warnings.map(({ message }) => `${yellow('warning')}  ${message}`);

/** @param since when the upload began; an older release was registered before, with the same bytes */
export function registeredText(release: Release, since: string, now: Date): string[] {
  const { device_model, version, chip, file_size, created_at } = release;
  const isOld = Date.parse(created_at) < Date.parse(since);
  return [
    `${green('registered')}  ${device_model} ${version}, ${chip}, ${bytes(file_size)}${isOld ? `, already ${ago(created_at, now)} with the same bytes` : ''}`,
    ...warningLines(release),
  ];
}

export const rejectedText = ({ verdict, message, object_key }: RejectedUpload): string[] => [
  `${red('rejected')}  ${object_key}: ${verdict}`,
  `  ${message}`,
];

export function rejectedTable(uploads: readonly RejectedUpload[], now: Date): string[] {
  if (uploads.length === 0) return ['No upload was rejected.'];
  return table(uploads, [
    { head: 'UPLOADED', value: ({ uploaded_at }) => ago(uploaded_at, now) },
    { head: 'KEY', value: ({ object_key }) => object_key },
    { head: 'SIZE', value: ({ file_size }) => bytes(file_size), align: 'right' },
    { head: 'BY', value: ({ requested_by: by }) => (by === null ? 'S3 directly' : caller(by)) },
    { head: 'VERDICT', value: ({ verdict }) => verdict },
    { head: 'WHY', value: ({ message }) => message },
  ]);
}
