export { type ConsoleOptions, type RunningConsole, startConsole } from './serve.ts';
