export { DevicePage } from './device.tsx';
export { DevicesPage } from './devices.tsx';
