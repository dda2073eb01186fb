export { readAssembly } from './assembly.ts';
export { runCustomResource } from './custom-resources.ts';
export { Roles, required } from './roles.ts';
export { bucketOf, clusterOf, userKeys } from './template-data.ts';
export { functionsOf, type Invoke, provisioningHookOf, routesOf, schedulesOf } from './template-functions.ts';
export { busRulesOf, consumersOf, queuesOf, topicRulesOf } from './template-queues.ts';
