export { acknowledgeWildcard } from './acknowledge.ts';
export { removalPolicyOf } from './data-removal.ts';
export { grantSecret } from './grant-secret.ts';
export { grantIotWildcards, iotArn } from './iot-grants.ts';
export { OtaFunction, type OtaFunctionProps } from './ota-function.ts';
export { WorkQueue } from './work-queue.ts';
