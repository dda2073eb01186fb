import { expect, test } from 'vitest';
import { propertiesOf, synthesize } from '../../support/lib/templates.ts';

test('the device policy allows the two subtrees of the device and nothing else, and is short enough for AWS', () => {
  const [policy] = propertiesOf(synthesize().serviceTemplate, 'AWS::IoT::Policy');
  const text = JSON.stringify(policy?.PolicyDocument);
  expect(text.length).toBeLessThan(2_048);
  const names = [...text.matchAll(/:(client|topic|topicfilter)\/([^"]*)"/g)].map(([, kind, name]) => `${kind} ${name}`);
  const thing = '$' + '{iot:Connection.Thing.ThingName}';
  expect(names).toEqual([
    `client ${thing}`,
    `topic paku/edge/${thing}/*`,
    `topic paku/devices/${thing}/*`,
    `topic paku/edge/${thing}/status`,
    `topicfilter paku/edge/${thing}/*`,
    `topicfilter paku/devices/${thing}/*`,
  ]);
});
