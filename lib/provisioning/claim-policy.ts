import type { IotStatement } from './iot-policy.ts';

/**
 * The policy of a provisioning claim: the topics of the two calls and of their answers, one by one (IoT developer guide,
 * "Device provisioning MQTT API").
 */
export function claimStatements(templateName: string): IotStatement[] {
  const calls = [
    '$aws/certificates/create/json',
    '$aws/certificates/create-from-csr/json',
    `$aws/provisioning-templates/${templateName}/provision/json`,
  ];
  const answers = calls.flatMap((call) => [`${call}/accepted`, `${call}/rejected`]);
  const allow = (action: string, resource: string, names: readonly string[]): IotStatement => ({
    actions: [action],
    resources: names.map((name) => [resource, name]),
  });
  return [
    // Many devices share a claim. Each connects as `claim/` and its id; no device id contains a slash.
    allow('iot:Connect', 'client', ['claim/*']),
    allow('iot:Publish', 'topic', calls),
    allow('iot:Receive', 'topic', answers),
    allow('iot:Subscribe', 'topicfilter', answers),
  ];
}
