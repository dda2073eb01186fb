import { verify } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { OtaFailure } from './ota-failure.ts';

/** A signed manifest as a download link answers with it. */
export interface ReceivedManifest {
  readonly text: string;
  /** In base64. */
  readonly signature: string;
}

/** The manifest in the headers of a response; undefined if there is none. */
export function receivedManifest({
  'paku-ota-manifest': text,
  'paku-ota-signature': signature,
}: IncomingHttpHeaders): ReceivedManifest | undefined {
  return typeof text === 'string' && typeof signature === 'string' ? { text, signature } : undefined;
}

/** What a manifest must be about. */
export interface ExpectedManifest {
  /** P-256, in PEM; the firmware contains it. */
  readonly publicKey: string;
  readonly model: string;
  /** Of the command. */
  readonly version: string;
  /** Bytes that the server announced. */
  readonly size: number;
}

/**
 * Verifies a manifest as firmware does that trusts only the owner of the key: its signature first, then that it is about
 * this model, this version and this size.
 * @returns the SHA-256 that the image must have
 * @throws OtaFailure
 */
export function verifyManifest(received: ReceivedManifest | undefined, expected: ExpectedManifest): string {
  if (received === undefined) throw new OtaFailure(3, 'the download has no signed manifest');
  const { text, signature } = received;
  if (!verify('sha256', Buffer.from(text, 'latin1'), expected.publicKey, Buffer.from(signature, 'base64')))
    throw new OtaFailure(3, 'the manifest was not signed by the key of this firmware');
  const [format, ...members] = text.split(' ');
  const stated = Object.fromEntries(members.map((member) => member.split('=', 2)));
  const isExpected =
    format === 'paku-ota-release-1' &&
    stated.model === expected.model &&
    stated.version === expected.version &&
    stated.size === String(expected.size);
  if (!isExpected) {
    const { model, version, size } = expected;
    throw new OtaFailure(3, `the manifest is "${text}", expected ${model} ${version} of ${size} bytes`);
  }
  return stated.sha256 ?? '';
}
