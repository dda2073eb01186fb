// biome-ignore-all lint/suspicious/noTemplateCurlyInString: CloudFormation's own placeholders
import { describe, expect, it } from 'vitest';
import { resolve, type Scope } from '../../../local/template/intrinsics.ts';

const scope: Scope = {
  ref: (name) => `ref:${name}`,
  getAtt: (name, attribute) => `att:${name}.${attribute}`,
  importValue: (name) => `import:${name}`,
};

describe('intrinsics', () => {
  it.each([
    ['Ref', { Ref: 'Queue' }, 'ref:Queue'],
    ['GetAtt', { 'Fn::GetAtt': ['Queue', 'Arn'] }, 'att:Queue.Arn'],
    ['ImportValue', { 'Fn::ImportValue': 'Data:Bucket' }, 'import:Data:Bucket'],
    ['Join', { 'Fn::Join': ['/', ['a', { Ref: 'B' }, 'c']] }, 'a/ref:B/c'],
    ['Sub', { 'Fn::Sub': '${A}-${B}' }, 'ref:A-ref:B'],
  ])('resolve %s', (_, value, expected) => {
    expect(resolve({ deep: [value] }, scope)).toEqual({ deep: [expected] });
  });

  it('do not change other values', () => {
    const value = { number: 1, none: null, yes: true, text: '${A}', list: [{ Reference: 'A' }] };
    expect(resolve(value, scope)).toEqual(value);
  });

  it.each([
    { 'Fn::Base64': 'a' },
    { 'Fn::Sub': ['${x}', { x: 1 }] },
    { 'Fn::Sub': '${A.Arn}' },
    { 'Fn::Sub': '${!A}' },
  ])('that are unknown are errors: %j', (value) => {
    expect(() => resolve(value, scope)).toThrow(`does not know ${JSON.stringify(value)}`);
  });
});
