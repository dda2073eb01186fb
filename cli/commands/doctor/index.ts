export { REGIONAL_TYPES } from './before.ts';
export type { Diagnosis } from './check.ts';
export { addDoctor } from './doctor-command.ts';
