export { LocalFunction } from './functions.ts';
