import { describe, expect, test } from 'vitest';
import { attributeChanges, attributeLines } from '../../../../console/src/devices/attributes.ts';

describe('attributes as lines of a form', () => {
  const BEFORE = attributeLines({ site: 'rome', slot: 3, heated: true });

  test('that are not edited change nothing, for any value', () => {
    const odd = {
      floor: '5',
      flag: 'true',
      note: '',
      quoted: '"x"',
      lines: 'a\nb=c',
      'a b': 'c',
      blank: ' x ',
      big: 1e21,
    };
    expect(attributeChanges(attributeLines(odd), attributeLines(odd))).toEqual({});
    for (const [name, value] of Object.entries(odd)) {
      expect(attributeChanges(attributeLines({ [name]: value }), '')).toEqual({ [name]: value });
    }
  });

  test('remove attributes that are missing or empty, and set new ones', () => {
    expect(attributeChanges('site=rome\n\nheated=\nslot=4\nnew = x', BEFORE)).toEqual({
      slot: 4,
      heated: null,
      new: 'x',
    });
    expect(attributeChanges('site=rome', BEFORE)).toEqual({ slot: null, heated: null });
  });

  test('are numbers unless a digit would be lost', () => {
    expect(attributeChanges('serial=007\niccid=8939100000000012345\nslot=3.50\nyear=2024\ntext="5"', '')).toEqual({
      serial: '007',
      iccid: '8939100000000012345',
      slot: '3.50',
      year: 2024,
      text: '5',
    });
  });

  test('with a line that is not an attribute change nothing', () => {
    expect(attributeChanges('site=rome\nheated', BEFORE)).toBeUndefined();
  });
});
