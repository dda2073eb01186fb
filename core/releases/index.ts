export {
  findRejection,
  getRelease,
  listModelsOf,
  listRejectedUploads,
  listReleases,
  type ReleaseDetailRow,
  revokeRelease,
} from './release-queries.ts';
export {
  findHighestSecureVersion,
  findReleaseChecksum,
  fixModelChip,
  forgetRejectedUpload,
  insertRelease,
  listReportedModels,
  loadRegisteredReleases,
  markReleaseSigned,
  type NewRelease,
  type ReleaseOfModel,
  recordRejectedUpload,
} from './releases.ts';
export {
  loadSteppingStones,
  NO_SIGNATURE_REQUIRED,
  proposeFor,
  type RequiresSignature,
  type SteppingStoneChoice,
} from './stepping-stones.ts';
