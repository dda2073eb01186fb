import { describe, expect, test } from 'vitest';
import { SCHEMA_MISMATCH } from '../../../core/db/index.ts';
import { explainOtherSchema } from '../../../local/runtime/other-schema.ts';

const HOME = '/home/me/paku-ota/.local';
const refused = new Error(`Migration (Custom::Sample) could not be made: ${SCHEMA_MISMATCH}: migration 1 differs.`);

describe('a start on the database of another version', () => {
  test('names the folder, what differs, and how to start afresh', () => {
    expect(explainOtherSchema(refused, HOME, undefined).message).toBe(
      [
        `The database in ${HOME} was made by another version of paku-ota, and this version cannot use it: migration 1 differs.`,
        `To start afresh, remove the folder: rm -r '${HOME}'. All that is in it is lost: devices, releases, rollouts, certificates.`,
      ].join('\n'),
    );
  });

  test('names the database of DATABASE_URL, without its password', () => {
    const { message } = explainOtherSchema(
      refused,
      HOME,
      'postgresql://me:secret@db.local:5433/paku_ota?sslmode=require',
    );
    expect(message).toContain('The database paku_ota on db.local:5433 (DATABASE_URL) was made by another version');
    expect(message).toContain(
      `To start afresh, drop that database and create it again, and remove the folder ${HOME}, which belongs to it.`,
    );
    expect(message).not.toContain('secret');
  });

  test('is told from other failures, which stay as they are', () => {
    const other = new Error('Migration (Custom::Sample) could not be made: out of memory');
    expect(explainOtherSchema(other, HOME, undefined)).toBe(other);
  });
});
