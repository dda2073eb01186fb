export { addServiceCommands } from './service-commands.ts';
