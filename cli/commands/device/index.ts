export { addDeviceCommands } from './device-commands.ts';
