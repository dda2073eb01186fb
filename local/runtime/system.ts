import type { Home } from '../home/index.ts';
import type { Clock, Identities, Interceptors } from '../kernel/index.ts';
import { type Audit, compilePolicy } from '../kernel/index.ts';
import { eventBus } from '../services/events/index.ts';
import { Secrets } from '../services/secrets/index.ts';
import {
  bucketOf,
  busRulesOf,
  clusterOf,
  consumersOf,
  functionsOf,
  type Invoke,
  provisioningHookOf,
  queuesOf,
  Roles,
  readAssembly,
  required,
  routesOf,
  schedulesOf,
  topicRulesOf,
  userKeys,
} from '../template/index.ts';

export interface SystemDeps {
  readonly home: Home;
  readonly identities: Identities;
  readonly clock: Clock;
  readonly variables: Readonly<Record<string, string>>;
  readonly interceptors: Interceptors;
  readonly audit: Audit | undefined;
  readonly awsUrl: string;
  readonly apiUrl: string;
  /** Called for each error of a function that a queue invokes; the queue reports none. */
  readonly onFailure: (error: Error) => void;
  /** Called for each message that the alarm topic would send by mail. */
  readonly onNotice: (text: string) => void;
}

export type System = ReturnType<typeof readSystem>;

/** Builds the runnable parts of the templates. @throws Error for an unknown resource or a missing grant */
export function readSystem(assemblyFolder: string, deps: SystemDeps) {
  const { home, identities, clock, interceptors, audit, awsUrl, apiUrl, onFailure, onNotice } = deps;
  const secrets = new Secrets(home.path('secrets.json'));
  const assembly = readAssembly(assemblyFolder, { apiUrl, awsUrl, secrets });
  const roles = new Roles(assembly, audit);
  const queues = queuesOf(assembly, clock, interceptors);
  const functions = functionsOf(assembly, roles, deps);
  const invoke: Invoke = (arn, event) => required(functions.get(arn), arn).invoke(event);
  const invokeForQueue: Invoke = (arn, event) => {
    const result = invoke(arn, event);
    result.catch(onFailure);
    return result;
  };
  // The template's other policy is for provisioning claims, which have no thing.
  const policies = assembly
    .ofType('AWS::IoT::Policy')
    .map(({ properties }) => properties.PolicyDocument)
    .filter((document) => JSON.stringify(document).includes('iot:Connection.Thing.ThingName'));
  return {
    secrets,
    queues,
    functions,
    invoke,
    bucket: bucketOf(assembly),
    cluster: clusterOf(assembly, secrets),
    keys: userKeys('operator', secrets, identities),
    approver: userKeys('approver', secrets, identities),
    customResources: assembly.customResources,
    thingType: assembly.ofType('AWS::IoT::ThingType')[0]?.logicalId,
    devicePolicy: compilePolicy('the device policy', policies, audit),
    onMessage: topicRulesOf(assembly, queues, roles, interceptors),
    startConsumers: consumersOf(assembly, queues, roles, invokeForQueue),
    tick: schedulesOf(assembly, roles, invoke),
    askProvisioningHook: provisioningHookOf(assembly, invoke),
    routes: routesOf(assembly, invoke),
    putEvent: eventBus(busRulesOf(assembly, queues, onNotice), clock.now),
  };
}
