export { acceptIdentities, stateAssumedModels } from './accept-identity.ts';
export {
  allowDevices,
  CERTIFICATES_PER_ENTRY,
  type ExpectedDevice,
  type ExtraCertificates,
  findExtraCertificates,
  forbidDevices,
  listAllowedDevices,
  spendAllowance,
  USABLE_MINUTES,
} from './allowed-devices.ts';
export {
  type CheckedCertificate,
  findRevokedCertificates,
  HAS_NEW_CERTIFICATE,
  listNewCertificates,
  type NewCertificate,
  type RevokedCertificates,
  recordCheckedCertificates,
} from './certificates.ts';
export {
  changeGroup,
  findUnknownDevices,
  findUnknownGroups,
  listGroups,
  MAX_ATTRIBUTES_BYTES,
  setAttributes,
  setGroups,
} from './device-groups.ts';
export { type DeviceDetailRow, getDevice, listDevices, type PresenceAt } from './device-queries.ts';
export { deviceTimeline, type TimelineRow } from './device-timeline.ts';
export {
  type DeviceReport,
  findDevicesWithRelevantUpdates,
  mergeReports,
  recordCommandFamilies,
  recordSubscribedFamilies,
  type Sighting,
  upsertDevices,
} from './devices.ts';
export {
  countDevices,
  countRejections,
  countRevoked,
  countSeen,
  countVersions,
  listRejectedMessages,
  listVersionHistory,
} from './fleet-queries.ts';
export {
  type AssumedModels,
  type ChangedDevices,
  findAssumedModels,
  findSharedMac,
  listAssumed,
  listChangedDevices,
  listSharedMacs,
  type SharedMac,
} from './identity-changes.ts';
export {
  type ClientRefusal,
  findRefusals,
  listRefusedClients,
  type RefusedClient,
  recordRefusals,
} from './refused-clients.ts';
export { cancelRevoked, reinstateDevice, revokeDevice } from './revoke-device.ts';
