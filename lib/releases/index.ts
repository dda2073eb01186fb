export { ReleaseRegistration } from './release-registration.ts';
