export { Dispatch } from './dispatch.ts';
