export { Ingestion } from './ingestion.ts';
