// biome-ignore-all lint/suspicious/noTemplateCurlyInString: CloudFormation's own placeholders
import { describe, expect, it } from 'vitest';
import { resolve, type Scope } from '../../local/intrinsics.ts';

const scope: Scope = {
  ref: (name) => `ref:${name}`,
  getAtt: (name, attribute) => `att:${name}.${attribute}`,
  importValue: (name) => `import:${name}`,
};

describe('intrinsics', () => {
  it.each([
    ['Ref', { Ref: 'Queue' }, 'ref:Queue'],
    ['GetAtt', { 'Fn::GetAtt': ['Queue', 'Arn'] }, 'att:Queue.Arn'],
    ['GetAtt with a dot', { 'Fn::GetAtt': 'Queue.Arn' }, 'att:Queue.Arn'],
    ['ImportValue', { 'Fn::ImportValue': 'Data:Bucket' }, 'import:Data:Bucket'],
    ['Join', { 'Fn::Join': ['/', ['a', { Ref: 'B' }, 'c']] }, 'a/ref:B/c'],
    ['Split and Select', { 'Fn::Select': ['1', { 'Fn::Split': [':', { Ref: 'B' }] }] }, 'B'],
    ['Sub', { 'Fn::Sub': '${A}-${B.Arn}-${!C}' }, 'ref:A-att:B.Arn-${C}'],
    ['Sub with variables', { 'Fn::Sub': ['${x}${A}', { x: { Ref: 'X' } }] }, 'ref:Xref:A'],
  ])('resolve %s', (_, value, expected) => {
    expect(resolve({ deep: [value] }, scope)).toEqual({ deep: [expected] });
  });

  it('leave everything else as it is', () => {
    const value = { number: 1, none: null, yes: true, text: '${A}', list: [{ Reference: 'A' }] };
    expect(resolve(value, scope)).toEqual(value);
  });

  it('that are not known, and selections of what is not there, are errors', () => {
    expect(() => resolve({ 'Fn::Base64': 'a' }, scope)).toThrow('Fn::Base64');
    expect(() => resolve({ 'Fn::Select': [2, ['a', 'b']] }, scope)).toThrow('item 2 of 2');
  });
});
