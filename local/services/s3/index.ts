export { s3Service } from './s3.ts';
export { objectCreatedEvent, S3Store } from './s3-store.ts';
