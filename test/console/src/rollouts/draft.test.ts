import { describe, expect, test } from 'vitest';
import { rolloutDraft } from '../../../../api/rollouts.ts';
import { type DraftForm, EMPTY_FORM, toDraft } from '../../../../console/src/rollouts/draft.ts';

const draftOf = (part: Partial<DraftForm>) => toDraft({ ...EMPTY_FORM, model: 'esp32-s3', version: '2.0.0', ...part });

describe('the draft of a form', () => {
  test('has the defaults of the service when the form is not edited', () => {
    const { name, ...draft } = draftOf({});
    expect(name).toBe('esp32-s3 to 2.0.0');
    expect(rolloutDraft.parse({ name, ...draft })).toEqual(
      rolloutDraft.parse({ name, device_model: 'esp32-s3', firmware_version: '2.0.0' }),
    );
  });

  test('with stages names what the first of them covers; a slow start has no such stage', () => {
    const firstStageCovers = 'version, facts.board_revision,';
    expect(draftOf({ pace: 'stages', firstStageCovers }).first_stage_covers).toEqual([
      'version',
      'facts.board_revision',
    ]);
    expect(draftOf({ pace: 'stages' }).first_stage_covers).toBeNull();
    expect(draftOf({ pace: 'slow-start', firstStageCovers }).first_stage_covers).toBeNull();
  });

  test('targets single devices by id and by MAC address', () => {
    const both = draftOf({ target: 'specific', devices: 'van-1, AA:bb:cc:dd:ee:ff\nvan-2' });
    expect(both.target_filter).toEqual({ device_ids: ['van-1', 'van-2'], mac_addresses: ['AA:bb:cc:dd:ee:ff'] });
    const one = draftOf({ target: 'specific', devices: 'AA-bb-cc-dd-ee-ff' });
    expect(one.target_filter).toEqual({ mac_addresses: ['AA-bb-cc-dd-ee-ff'] });
  });

  test('targets attributes, one per line, as text, numbers or booleans', () => {
    const { target_filter } = draftOf({ attributes: 'site = rome\n\nslot=3\nheated=true\nnote=a=b' });
    expect(target_filter).toEqual({ metadata: { site: 'rome', slot: 3, heated: true, note: 'a=b' } });
  });

  test('with a line that is not an attribute is refused by the service', () => {
    expect(rolloutDraft.safeParse(draftOf({ attributes: 'rome' })).success).toBe(false);
  });

  test('targets facts, one condition per line', () => {
    const { target_filter } = draftOf({ facts: 'board_revision=C\n\nbattery_percent>=50\nbattery_percent<=90' });
    expect(target_filter).toEqual({ facts: { board_revision: 'C', battery_percent: { min: 50, max: 90 } } });
    expect(rolloutDraft.safeParse(draftOf({ facts: 'battery_percent > 50' })).success).toBe(false);
  });

  test('targets one of the values of lines with the same name', () => {
    const { target_filter } = draftOf({
      attributes: 'site=rome\nsite=Milan, Italy\nslot=3',
      facts: 'chip_revision=300',
    });
    expect(target_filter).toEqual({
      metadata: { site: ['rome', 'Milan, Italy'], slot: 3 },
      facts: { chip_revision: 300 },
    });
  });

  test('leaves out what an exception names', () => {
    const except = {
      groups: 'lab, shop',
      versions: '1.0.0',
      devices: 'van-1\nAA:bb:cc:dd:ee:ff',
      attributes: 'site=lab-3',
      facts: 'battery_percent<=20',
    };
    expect(draftOf({ except }).target_filter).toEqual({
      except: {
        groups: ['lab', 'shop'],
        versions: ['1.0.0'],
        device_ids: ['van-1'],
        mac_addresses: ['AA:bb:cc:dd:ee:ff'],
        metadata: { site: 'lab-3' },
        facts: { battery_percent: { max: 20 } },
      },
    });
    expect(rolloutDraft.safeParse(draftOf({ except: { ...except, attributes: 'lab-3' } })).success).toBe(false);
  });

  test('has a window on the chosen days', () => {
    const { send_window } = draftOf({ windowFrom: '22:00', windowTo: '05:00', windowDays: ['mon', 'tue'] });
    expect(send_window).toMatchObject({ days: ['mon', 'tue'], from: '22:00', to: '05:00' });
  });
});
