export { OperatorApi } from './operator-api.ts';
