export { addUninstall } from './uninstall-command.ts';
