export { DataStack } from './data-stack.ts';
export { ServiceStack } from './service-stack.ts';
