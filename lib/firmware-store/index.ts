export { FirmwareStore } from './firmware-store.ts';
