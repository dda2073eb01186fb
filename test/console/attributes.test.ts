import { describe, expect, test } from 'vitest';
import { attributeChanges, attributeLines } from '../../console/src/devices/attributes.ts';

describe('the attributes of a device, as lines', () => {
  const BEFORE = { site: 'rome', slot: 3, heated: true };

  test('left as they are, change nothing', () => {
    expect(attributeChanges(attributeLines(BEFORE), BEFORE)).toEqual(BEFORE);
    expect(attributeChanges('serial=007\niccid=8939100000000012345\nslot=3.50', {})).toEqual({
      serial: '007',
      iccid: '8939100000000012345',
      slot: '3.50',
    });
  });

  test('take away what they leave out, or leave empty', () => {
    expect(attributeChanges('site=rome\n\nheated=', BEFORE)).toEqual({ site: 'rome', slot: null, heated: null });
  });

  test('of which one is none change nothing at all', () => {
    expect(attributeChanges('site=rome\nheated', BEFORE)).toBeUndefined();
  });
});
