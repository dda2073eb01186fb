export { addDeviceCommands } from './device-commands.ts';
export { type DeviceConnection, writeSecretsHeader } from './device-files.ts';
export { addLocalDevice } from './local-device.ts';
