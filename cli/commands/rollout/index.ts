export { addRolloutCommands } from './rollout-commands.ts';
