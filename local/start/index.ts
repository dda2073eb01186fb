export { buildConsole, startLocalConsole } from './console.ts';
export { synthesize, synthesizeSources } from './synthesize.ts';
