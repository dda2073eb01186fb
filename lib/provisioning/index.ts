export { DeviceIdentity } from './device-identity.ts';
export { Provisioning } from './provisioning.ts';
