import * as z from 'zod';
import { parsePublicKey } from '../image/index.ts';

const keyDigest = z
  .string()
  .regex(/^[0-9a-fA-F]{64}$/, 'expected the SHA-256 of a secure boot key, 64 hex digits (espsecure signature-info-v2)')
  .toLowerCase();

const publicKeyPem = z.string().superRefine((pem, context) => {
  try {
    parsePublicKey(pem);
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as Error).message });
  }
});

const fields = {
  /** Reject images that no trusted key signed. */
  requireSignedFirmware: z.boolean(),
  /** SHA-256 of the trusted secure boot v2 keys, as eFuse holds it, in hex. */
  trustedKeyDigests: z.array(keyDigest),
  /** Keys trusted to sign manifests, in PEM. */
  trustedPublicKeys: z.array(publicKeyPem),
  /** Accept an image whose anti-rollback counter is lower than that of a release of its model. */
  allowLowerSecureVersion: z.boolean(),
};

/** Signing settings of the whole deployment. */
export const signingFields = {
  requireSignedFirmware: fields.requireSignedFirmware.default(false),
  trustedKeyDigests: fields.trustedKeyDigests.default([]),
  trustedPublicKeys: fields.trustedPublicKeys.default([]),
  allowLowerSecureVersion: fields.allowLowerSecureVersion.default(false),
};

/** Signing settings of one model; each one that is set overrides the deployment's. */
export const modelSigningFields = {
  requireSignedFirmware: fields.requireSignedFirmware.optional(),
  trustedKeyDigests: fields.trustedKeyDigests.optional(),
  trustedPublicKeys: fields.trustedPublicKeys.optional(),
  allowLowerSecureVersion: fields.allowLowerSecureVersion.optional(),
};

export const signingSchema = z.object(signingFields);
export type Signing = z.infer<typeof signingSchema>;
const modelSigningSchema = z.object(modelSigningFields);

/** The effective signing settings of a model. */
export const signingOf = (deployment: Signing, model: z.infer<typeof modelSigningSchema>): Signing => ({
  requireSignedFirmware: model.requireSignedFirmware ?? deployment.requireSignedFirmware,
  trustedKeyDigests: model.trustedKeyDigests ?? deployment.trustedKeyDigests,
  trustedPublicKeys: model.trustedPublicKeys ?? deployment.trustedPublicKeys,
  allowLowerSecureVersion: model.allowLowerSecureVersion ?? deployment.allowLowerSecureVersion,
});
