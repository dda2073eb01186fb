export { type HttpRoute, startHttpApi } from './http-api.ts';
