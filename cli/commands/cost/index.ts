export { addCost } from './cost-command.ts';
export { FIXED } from './cost-model.ts';
