import { describe, expect, test } from 'vitest';
import { capital } from '../../console/src/format.ts';
import { labelOf } from '../../console/src/labels.ts';
import { splitAdvice, verdictName } from '../../console/src/releases/verdict-words.ts';
import { decisionWords } from '../../console/src/rollouts/decision-words.ts';
import { UPLOAD_APP_BINARY, VERDICTS } from '../../core/image/index.ts';
import { ORCHESTRATOR } from '../../core/policy/index.ts';

describe('what became of an upload', () => {
  test('is named with the capitals that names have', () => {
    expect(['ELF', 'UF2', 'NOT_ESP_IMAGE', 'WRONG_CHIP'].map(verdictName)).toEqual([
      'ELF file',
      'UF2 file',
      'Not an ESP image',
      'Wrong chip',
    ]);
    const wrong = VERDICTS.map(verdictName).filter((name) =>
      /elf\b|uf2|esp\b|esp8266|json|nvs|crc|\bid\b|littlefs/.test(name),
    );
    expect(wrong).toEqual([]);
  });

  test.each([
    [`this is a partition table; ${UPLOAD_APP_BINARY}`, 'this is a partition table'],
    [`this is gzip-compressed; unpack it and ${UPLOAD_APP_BINARY}`, 'this is gzip-compressed; unpack it'],
    [
      `the file is 9 bytes, at most 8 are possible; ${UPLOAD_APP_BINARY}, not an image of the whole flash`,
      'the file is 9 bytes, at most 8 are possible',
    ],
  ])('%s: is told without the advice that most of them end with', (message, reason) => {
    expect(splitAdvice(message)).toEqual({ reason, advice: UPLOAD_APP_BINARY });
  });

  test('is told whole where it has no such advice', () => {
    const message = 'the image is for ESP32-C3, model esp32-s3 has ESP32-S3';
    expect(splitAdvice(message)).toEqual({ reason: message, advice: undefined });
  });
});

describe('a decision about a rollout', () => {
  test.each([
    ['rollout_halted', ORCHESTRATOR, 'Halted by itself'],
    ['rollout_paused', 'arn:aws:sts::123456789012:assumed-role/ops/ada', 'Paused by ada'],
    ['rollout_aborted', 'arn:aws:iam::123456789012:user/ada', 'Aborted by ada'],
    ['rollout_completed', ORCHESTRATOR, 'Completed '],
    ['rollout_stage_began', null, 'Stage began '],
  ])('%s by %s reads "%s"', (event, by, text) => {
    const { what, who } = decisionWords(event, by);
    expect(`${what} ${who}`).toBe(text);
  });
});

test.each([
  [{ status: 'success', is_open: true, booted_at: null }, 'written, must boot', 'busy'],
  [{ status: 'success', is_open: true, booted_at: '2026-03-02T12:00:00.000Z' }, 'runs it, not final yet', 'busy'],
  [{ status: 'success', is_open: false, booted_at: '2026-03-02T12:00:00.000Z' }, 'success', 'ok'],
  [{ status: 'rolled_back', is_open: false, booted_at: null }, 'rolled back', 'bad'],
] as const)('an update that is %j is "%s", in the colour of what is %s', (update, text, tone) => {
  expect(labelOf(update)).toEqual({ text, tone });
});

test('a sentence begins with a capital, unless with a name', () => {
  expect(['it runs 1.2.0', 'esp32-s3 2.1.0 is registered', 'a merged image'].map(capital)).toEqual([
    'It runs 1.2.0',
    'esp32-s3 2.1.0 is registered',
    'A merged image',
  ]);
});
