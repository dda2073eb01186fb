export { addIssueCommands } from './known-issues.ts';
export { addReleaseCommands } from './release-commands.ts';
