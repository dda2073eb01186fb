export type { Diagnosis } from './check.ts';
export { addDoctor } from './doctor-command.ts';
