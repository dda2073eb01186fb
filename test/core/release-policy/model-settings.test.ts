import { expect, test } from 'vitest';
import { modelSettingsSchema, settingsOf } from '../../../core/release-policy/model-settings.ts';

test('a model without settings of its own has the defaults, whatever its name', () => {
  for (const model of ['van', 'constructor', '__proto__', 'toString']) {
    expect(settingsOf({}, model)).toEqual(modelSettingsSchema.parse({}));
  }
});
