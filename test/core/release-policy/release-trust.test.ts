import { describe, expect, test } from 'vitest';
import { parsePublicKey } from '../../../core/image/index.ts';
import { modelsSchema, signingSchema } from '../../../core/release-policy/index.ts';
import { trustRule } from '../../../core/release-policy/release-trust.ts';
import { signingKeys } from '../../support/signing-keys.ts';

const { p256 } = signingKeys();
const pem = p256.publicKey.export({ type: 'spki', format: 'pem' }).toString();
const key = parsePublicKey(pem).digest;
const now = new Date('2026-06-01T00:00:00Z');
const required = { requireSignedFirmware: true };
const models = modelsSchema.parse({ free: { requireSignedFirmware: false }, Apart: { trustedPublicKeys: [] } });

describe('the trust in a registered release', () => {
  const rule = trustRule(models, signingSchema.parse({ ...required, trustedPublicKeys: [pem] }));
  const release = { signing_key: key, signature_expires_at: null };

  test('lasts while its key is trusted and its signature has not expired', () => {
    expect(rule.whyDistrusted('van', release, now)).toBeNull();
    const expiry = { ...release, signature_expires_at: now };
    expect(rule.whyDistrusted('van', expiry, new Date(now.getTime() - 1))).toBeNull();
    expect(rule.whyDistrusted('van', expiry, now)).toBe('its signature expired on 2026-06-01T00:00:00.000Z');
  });

  test('ends when its key is withdrawn, also for one model only', () => {
    expect(rule.whyDistrusted('apart', release, now)).toBe(`its signing key ${key} was withdrawn`);
    const other = trustRule(models, signingSchema.parse({ ...required, trustedKeyDigests: ['ab'.repeat(32)] }));
    expect(other.whyDistrusted('van', release, now)).toBe(`its signing key ${key} was withdrawn`);
  });

  test('is missing where signatures became required after an unsigned release was registered', () => {
    expect(rule.whyDistrusted('van', { ...release, signing_key: null }, now)).toBe('no trusted key signed it');
  });

  test('is not asked for where signatures are not required', () => {
    expect(rule.whyDistrusted('free', { signing_key: null, signature_expires_at: new Date(0) }, now)).toBeNull();
  });
});
