export { findRejection, listRejectedUploads, listReleases, revokeRelease, showRelease } from './release-queries.ts';
export {
  claimModelChip,
  findHighestSecureVersion,
  findReleaseChecksum,
  forgetRejectedUpload,
  insertRelease,
  markReleaseSigned,
  type NewRelease,
  readRegisteredReleases,
  readSteppingStones,
  recordRejectedUpload,
} from './releases.ts';
