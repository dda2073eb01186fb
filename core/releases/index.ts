export { findRejection, getRelease, listRejectedUploads, listReleases, revokeRelease } from './release-queries.ts';
export {
  findHighestSecureVersion,
  findReleaseChecksum,
  fixModelChip,
  forgetRejectedUpload,
  insertRelease,
  listReportedModels,
  loadRegisteredReleases,
  loadSteppingStones,
  markReleaseSigned,
  type NewRelease,
  recordRejectedUpload,
} from './releases.ts';
