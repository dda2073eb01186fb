export { type SecretGeneration, Secrets, secretsManagerService } from './secrets.ts';
