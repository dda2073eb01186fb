import fc from 'fast-check';
import mqtt from 'mqtt-packet';
import { expect, test } from 'vitest';
import { encodeCommand, publishPacketBytes } from '../../../core/protocol/command.ts';

test('the computed length equals that of a packet written by an MQTT library', () => {
  fc.assert(
    fc.property(
      fc.stringMatching(/^[a-z/]{1,60}$/),
      fc.string({ unit: 'binary', maxLength: 20_000 }),
      (topic, payload) => {
        const packet = mqtt.generate({
          cmd: 'publish',
          topic,
          payload,
          qos: 1,
          messageId: 1,
          dup: false,
          retain: false,
        });
        expect(publishPacketBytes(topic, payload)).toBe(packet.length);
      },
    ),
  );
});

test('a command contains exactly the three fields that devices read', () => {
  const text = encodeCommand({ url: 'https://x/d/t', checksum: 'c', version: '1.2.0', extra: 1 } as never);
  expect(JSON.parse(text)).toEqual({ url: 'https://x/d/t', checksum: 'c', version: '1.2.0' });
});
