export type { Diagnosis } from './check.ts';
export { addDoctor } from './doctor-command.ts';
export { REGIONAL_TYPES } from './region-checks.ts';
