import { describe, expect, it } from 'vitest';
import { compileEventPattern, eventBus } from '../../../../local/services/events/event-bus.ts';
import { objectCreatedEvent } from '../../../../local/services/s3/index.ts';

const UPLOADS = {
  source: ['aws.s3'],
  'detail-type': ['Object Created'],
  detail: { bucket: { name: ['firmware'] }, object: { key: [{ 'anything-but': { prefix: 'releases/' } }] } },
};

const created = (key: string, bucket = 'firmware') =>
  objectCreatedEvent({
    bucket,
    key,
    size: 3,
    etag: 'abc',
    versionId: 'v1',
    sequencer: '01',
    reason: 'PutObject',
    requester: '111122223333',
    sourceIp: '203.0.113.7',
  });

/** The events that the rule delivers. */
function deliveries(...events: ReturnType<typeof created>[]) {
  const delivered: { time: string; region: string; detail: { object: { key: string } } }[] = [];
  const rule = { pattern: compileEventPattern(UPLOADS), deliver: (event: string) => delivered.push(JSON.parse(event)) };
  const put = eventBus([rule], () => 1_767_225_600_999);
  for (const event of events) put(event);
  return delivered;
}

describe('the event bus', () => {
  it('delivers only the events that match a rule', () => {
    const events = [created('firmware/1.0.0/esp32.bin'), created('releases/abc.bin'), created('a.bin', 'other')];
    const keys = deliveries(...events).map(({ detail }) => detail.object.key);
    expect(keys).toEqual(['firmware/1.0.0/esp32.bin']);
  });

  it('delivers S3 events in the format of EventBridge', () => {
    expect(deliveries(created('ä b.bin'))[0]).toMatchObject({
      version: '0',
      source: 'aws.s3',
      'detail-type': 'Object Created',
      account: '000000000000',
      region: 'eu-west-1',
      time: '2026-01-01T00:00:00Z',
      detail: {
        version: '0',
        bucket: { name: 'firmware' },
        object: { key: 'ä b.bin', size: 3, etag: 'abc', 'version-id': 'v1', sequencer: '01' },
        requester: '111122223333',
        'source-ip-address': '203.0.113.7',
        reason: 'PutObject',
      },
    });
  });

  it.each([
    [{ detail: { size: [{ numeric: ['>', 3] }] } }],
    [{ source: [{ prefix: 'aws.' }] }],
    [{ source: [{ 'anything-but': ['a'] }] }],
    [{ source: 'aws.s3' }],
  ])('refuses the pattern %j at start', (pattern) => {
    expect(() => compileEventPattern(pattern)).toThrow('does not know the event pattern');
  });
});
