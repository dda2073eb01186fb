import type { Construct } from 'constructs';
import { iotArn } from '../shared/index.ts';

/**
 * Policy document of a provisioning claim: the topics of the two calls and of their answers, one by one (IoT developer
 * guide, "Device provisioning MQTT API").
 */
export function claimDocument(scope: Construct, templateName: string): object {
  const calls = [
    '$aws/certificates/create/json',
    '$aws/certificates/create-from-csr/json',
    `$aws/provisioning-templates/${templateName}/provision/json`,
  ];
  const answers = calls.flatMap((call) => [`${call}/accepted`, `${call}/rejected`]);
  const allow = (Action: string, resource: string, names: readonly string[]) => ({
    Effect: 'Allow',
    Action,
    Resource: names.map((name) => iotArn(scope, resource, name)),
  });
  return {
    Version: '2012-10-17',
    Statement: [
      // Many devices share a claim. Each connects as `claim/` and its id; no device id contains a slash.
      allow('iot:Connect', 'client', ['claim/*']),
      allow('iot:Publish', 'topic', calls),
      allow('iot:Receive', 'topic', answers),
      allow('iot:Subscribe', 'topicfilter', answers),
    ],
  };
}
