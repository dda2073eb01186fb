export {
  type Delivery,
  deliverySchema,
  type Models,
  modelsSchema,
  settingsOf,
} from './model-settings.ts';
export {
  evaluateFit,
  evaluateSecureVersion,
  expectedChip,
  type HighestSecureVersion,
  OVERRIDABLE,
  type Overridable,
  parseReleaseNotes,
  type ReleaseNotes,
  type ReleaseRefusal,
  versionWarnings,
} from './release-policy.ts';
export {
  isSignatureValid,
  type KeptSignature,
  NO_SIGNATURE_REQUIRED,
  type SendableRelease,
  type TrustRule,
  trustedKeys,
  trustRule,
  whyNotSendable,
} from './release-trust.ts';
export {
  type CandidateRelease,
  evaluateSignature,
  type SignatureFile,
  type SignatureFinding,
} from './signature-policy.ts';
export { type Signing, signingFields, signingOf, signingSchema } from './signing-settings.ts';
export { type EarlierImage, earlierOf, evaluateProject, warnOfDifferences } from './unlike-earlier.ts';
export { isFolderMarker, isMeantAsUpload, refuseModelAsVersion, refusePath } from './upload-path.ts';
