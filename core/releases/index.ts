export { loadCounters } from './counters.ts';
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
  findEarlierImage,
  findHighestSecureVersion,
  findSignedProject,
  findSignedRelease,
  fixModelChip,
  forgetRejectedUpload,
  insertRelease,
  listProjects,
  listReportedModels,
  loadRegisteredReleases,
  type NewRelease,
  type ReleaseOfModel,
  recordRejectedUpload,
  type SignedRelease,
  storeSignature,
} from './releases.ts';
export {
  loadSteppingStones,
  proposeFor,
  type SteppingStoneChoice,
} from './stepping-stones.ts';
export { matchUploadRequest, type Provenance, recordUploadRequest } from './upload-requests.ts';
