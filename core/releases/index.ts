export { findRejection, listRejectedUploads, listReleases, revokeRelease, showRelease } from './release-queries.ts';
export {
  fixModelChip,
  findHighestSecureVersion,
  findReleaseChecksum,
  forgetRejectedUpload,
  insertRelease,
  markReleaseSigned,
  type NewRelease,
  loadRegisteredReleases,
  loadSteppingStones,
  recordRejectedUpload,
} from './releases.ts';
