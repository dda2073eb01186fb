import { describe, expect, it } from 'vitest';
import { compileTopicRule } from '../../../../local/services/iot/topic-rules.ts';

const VERSION = '2016-03-23';
const COLUMNS = "encode(*, 'base64') AS payload, topic() AS topic, timestamp() AS received_at, clientid() AS client_id";
const message = {
  topic: 'paku/edge/van-1/status',
  payload: Buffer.from([0xff, 0x00, 0x7b]),
  clientId: 'van-1',
  principal: 'f'.repeat(64),
  receivedAt: 1_767_225_600_123,
};

const rule = (filter: string) => compileTopicRule(`SELECT ${COLUMNS} FROM '${filter}'`, VERSION);

describe('a topic rule', () => {
  it('wraps any payload together with the topic, receive time and client id', () => {
    expect(JSON.parse(rule('paku/edge/+/status').apply(message))).toEqual({
      payload: '/wB7',
      topic: 'paku/edge/van-1/status',
      received_at: 1_767_225_600_123,
      client_id: 'van-1',
    });
  });

  it('names the certificate that the message was published with, if its SQL asks for that', () => {
    const sql = `SELECT ${COLUMNS}, principal() AS principal FROM 'paku/edge/+/status'`;
    const { apply } = compileTopicRule(sql, VERSION);
    expect(JSON.parse(apply(message))).toMatchObject({ client_id: 'van-1', principal: 'f'.repeat(64) });
    expect(JSON.parse(apply({ ...message, principal: undefined }))).not.toHaveProperty('principal');
  });

  it.each([
    ['paku/edge/+/status', 'paku/edge/van-1/status', true],
    ['paku/edge/+/status', 'paku/edge/a.b*c/status', true],
    ['paku/edge/+/status', 'paku/edge/van-1/sub/status', false],
    ['paku/edge/+/status', 'paku/edge/status', false],
    ['paku/edge/+/status', 'paku/edge/van-1/status/more', false],
    ['paku/edge/+/ota/+', 'paku/edge/van-1/ota/result', true],
    ['paku.edge/+', 'pakuXedge/a', false],
  ])('with the filter %s matches the topic %s: %s', (filter, topic, expected) => {
    expect(rule(filter).matches({ ...message, topic })).toBe(expected);
  });

  it.each([
    ['other columns', "SELECT * FROM 'a'"],
    ['a condition', `SELECT ${COLUMNS} FROM 'a' WHERE qos() = 1`],
    ['# in the filter', `SELECT ${COLUMNS} FROM 'a/#'`],
  ])('is an error at start with %s', (_, sql) => {
    expect(() => compileTopicRule(sql, VERSION)).toThrow(`does not know the SQL: ${sql}`);
  });

  describe('with the condition of the template', () => {
    const condition =
      "(disconnectReason = 'AUTH_ERROR' OR disconnectReason = 'FORBIDDEN_ACCESS') AND regexp_matches(clientId, '^[A-Za-z0-9_:-]{1,64}$')";
    const conditional = compileTopicRule(`SELECT ${COLUMNS} FROM '$aws/events/+' WHERE ${condition}`, VERSION);
    const takes = (payload: string) => conditional.matches({ topic: '$aws/events/x', payload: Buffer.from(payload) });

    it.each([
      ['{"disconnectReason":"AUTH_ERROR","clientId":"van-1"}', true],
      ['{"disconnectReason":"FORBIDDEN_ACCESS","clientId":"van-1"}', true],
      ['{"disconnectReason":"CONNECTION_LOST","clientId":"van-1"}', false],
      ['{"disconnectReason":"AUTH_ERROR","clientId":"claim/van-1"}', false],
      ['{"clientId":"van-1"}', false],
      ['AUTH_ERROR', false],
      ['null', false],
    ])('takes %s: %s', (payload, expected) => {
      expect(takes(payload)).toBe(expected);
    });
  });

  it('is an error at start with another version of the SQL', () => {
    expect(() => compileTopicRule(`SELECT ${COLUMNS} FROM 'a'`, '2015-10-08')).toThrow('expected 2016-03-23');
  });
});
