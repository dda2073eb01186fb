import { describe, expect, test } from 'vitest';
import { ApiError } from '../../../api/client.ts';
import { describeFailure } from '../../../cli/session/failure.ts';

describe('a refused call', () => {
  const problem = { type: 'about:blank', title: 'Bad Request', status: 400, detail: '2 fields are not valid' };

  test('is described with a line for each field', () => {
    const errors = [
      { field: 'stages.0.percentage', message: 'too big' },
      { field: 'name', message: 'too long' },
    ];
    expect(describeFailure(new ApiError({ ...problem, errors }))).toEqual([
      '2 fields are not valid',
      'stages.0.percentage: too big',
      'name: too long',
    ]);
  });

  test('is described without a field that the detail names already', () => {
    const errors = [{ field: 'name', message: 'too long' }];
    expect(describeFailure(new ApiError({ ...problem, detail: 'name: too long', errors }))).toEqual(['name: too long']);
  });

  test('is described with a hint at paku-ota doctor when IAM denied it', () => {
    expect(describeFailure(new ApiError({ ...problem, status: 403, detail: 'Forbidden' }))).toEqual([
      'refused: Forbidden',
      'paku-ota doctor says who you are and whether your clock is right',
    ]);
  });

  test('is described without control characters', () => {
    expect(describeFailure(new ApiError({ ...problem, detail: 'a\x1b[2Jb' }))).toEqual(['a [2Jb']);
  });
});
