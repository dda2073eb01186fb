export { addReleaseCommands } from './release-commands.ts';
