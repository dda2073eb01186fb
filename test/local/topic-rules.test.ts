import { describe, expect, it } from 'vitest';
import { compileTopicRule } from '../../local/topic-rules.ts';

const VERSION = '2016-03-23';
const COLUMNS = "encode(*, 'base64') AS payload, topic() AS topic, timestamp() AS received_at, clientid() AS client_id";
const message = {
  topic: 'paku/edge/van-1/status',
  payload: Buffer.from([0xff, 0x00, 0x7b]),
  clientId: 'van-1',
  receivedAt: 1_767_225_600_123,
};

const rule = (filter: string, columns = COLUMNS) => compileTopicRule(`SELECT ${columns} FROM '${filter}'`, VERSION);

describe('a topic rule', () => {
  it('wraps the payload, whatever its bytes, beside what the broker knows', () => {
    expect(JSON.parse(rule('paku/edge/+/status').apply(message))).toEqual({
      payload: '/wB7',
      topic: 'paku/edge/van-1/status',
      received_at: 1_767_225_600_123,
      client_id: 'van-1',
    });
  });

  it.each([
    ['paku/edge/+/status', 'paku/edge/van-1/status', true],
    ['paku/edge/+/status', 'paku/edge/a.b*c/status', true],
    ['paku/edge/+/status', 'paku/edge/van-1/sub/status', false],
    ['paku/edge/+/status', 'paku/edge/status', false],
    ['paku/edge/+/status', 'paku/edge/van-1/status/more', false],
    ['paku/edge/+/ota/+', 'paku/edge/van-1/ota/result', true],
    ['paku/edge/#', 'paku/edge/van-1/status', true],
    ['paku/edge/#', 'paku/edge', true],
    ['paku/edge/#', 'paku/edges', false],
    ['paku.edge/+', 'pakuXedge/a', false],
  ])('with the filter %s and the topic %s: %s', (filter, topic, expected) => {
    expect(rule(filter).matches(topic)).toBe(expected);
  });

  it.each([
    ['SELECT * FROM', "SELECT * FROM 'a'"],
    ['another function', "SELECT topic() AS t, newuuid() AS id FROM 'a'"],
    ['a column without an alias', "SELECT topic() AS t, timestamp() FROM 'a'"],
    ['a condition', "SELECT topic() AS t FROM 'a' WHERE qos() = 1"],
    ['# before the end', "SELECT topic() AS t FROM 'a/#/b'"],
  ])('is an error at start with %s', (_, sql) => {
    expect(() => compileTopicRule(sql, VERSION)).toThrow(/a/);
  });

  it('is an error at start with another version of the SQL', () => {
    expect(() => compileTopicRule("SELECT topic() AS t FROM 'a'", '2015-10-08')).toThrow('expected 2016-03-23');
  });
});
