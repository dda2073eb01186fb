export { Downloads } from './downloads.ts';
export { LinkSecret } from './link-secret.ts';
