export { Orchestration } from './orchestration.ts';
