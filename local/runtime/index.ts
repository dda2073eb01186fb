export { DEFAULT_PORTS, type LocalRuntime, startRuntime } from './runtime.ts';
export { readSystem } from './system.ts';
