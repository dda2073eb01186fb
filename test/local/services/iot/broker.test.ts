import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import mqtt, { type MqttClient } from 'mqtt';
import { generate } from 'mqtt-packet';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CertificateFiles } from '../../../../local/kernel/index.ts';
import {
  type BrokerUnderTest,
  closed,
  nextReceived,
  startBrokerUnderTest,
} from '../../../support/local/device-connection.ts';

const STATUS = 'paku/edge/van-1/status';
const COMMAND = 'paku/edge/van-1/cmd/ota';
const WILL = { topic: STATUS, payload: Buffer.from('gone'), qos: 1 as const, retain: false };

let broker: BrokerUnderTest;

beforeEach(async () => {
  broker = await startBrokerUnderTest();
});

afterEach(() => broker.broker.close());

/** Sends a CONNECT over TLS and, after `turns` turns of the event loop, a TCP reset. */
async function connectAndReset(
  { broker, authority }: BrokerUnderTest,
  { certificateFile, privateKeyFile }: CertificateFiles,
  turns: number,
): Promise<void> {
  const tcp = connectTcp(broker.port, '127.0.0.1').on('error', () => {});
  const cert = readFileSync(certificateFile);
  const tls = connectTls({ socket: tcp, ca: readFileSync(authority.caFile), cert, key: readFileSync(privateKeyFile) });
  tls.on('error', () => {});
  await once(tls, 'secureConnect');
  tls.write(
    generate({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clientId: 'van-1', clean: true, keepalive: 0 }),
  );
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
  const end = once(tcp, 'close');
  tcp.resetAndDestroy();
  await end;
}

/** Does something for which the broker must close the connection. */
async function expectClosed(act: (client: MqttClient) => void): Promise<void> {
  const client = await broker.connect('van-1');
  client.on('error', () => {});
  const end = closed(client);
  act(client);
  await end;
}

describe('a device on the local broker', () => {
  it('has its messages passed to the rules with its client id and the receive time', async () => {
    const client = await broker.connect('van-1');
    const next = broker.nextMessage();
    const before = Date.now();
    client.publish(STATUS, 'hello');
    const { topic, payload, clientId, receivedAt } = await next;
    expect({ topic, payload: payload.toString(), clientId }).toEqual({
      topic: STATUS,
      payload: 'hello',
      clientId: 'van-1',
    });
    expect(receivedAt).toBeGreaterThanOrEqual(before);
  });

  it('cannot connect under the name of another device', async () => {
    await expect(broker.connect('van-1', { clientId: 'van-2' })).rejects.toThrow('Not authorized');
  });

  it('gets an answer that it can decode if it asks for MQTT 5, and a line of the log names it', async () => {
    const error = await broker.connect('van-1', { protocolVersion: 5 }).catch((refusal: unknown) => refusal);
    // 0x84: unsupported protocol version (MQTT 5, section 3.2.2.2)
    expect(error).toMatchObject({ code: 0x84 });
    expect(broker.log.join()).toMatch(
      /^mqtt van-1: refused, because it asks for MQTT 5; this broker speaks MQTT 3.1.1/,
    );
  });

  it('is refused if it asks for MQTT 3.1, which AWS IoT does not speak', async () => {
    const old = { protocolVersion: 3, protocolId: 'MQIsdp' } as const;
    const error = await broker.connect('van-1', old).catch((refusal: unknown) => refusal);
    // 1: unacceptable protocol version (MQTT 3.1.1, section 3.2.2.3)
    expect(error).toMatchObject({ code: 1 });
    expect(broker.log.join()).toMatch(
      /^mqtt van-1: refused, because it asks for MQTT 3.1; this broker speaks MQTT 3.1.1/,
    );
  });

  it('cannot connect without a certificate', async () => {
    const url = `mqtts://127.0.0.1:${broker.broker.port}`;
    await expect(mqtt.connectAsync(url, { reconnectPeriod: 0, rejectUnauthorized: false })).rejects.toThrow();
  });

  it('may break its connection right behind its CONNECT', async () => {
    const files = await broker.authority.addDevice('van-1');
    for (let attempt = 0; attempt < 50; attempt++) await connectAndReset(broker, files, attempt % 5);
    const client = await broker.connect('van-2');
    expect(client.connected).toBe(true);
  });

  it('is disconnected when it publishes outside of its policy', async () => {
    await expectClosed((client) => client.publish('paku/edge/van-2/status', 'hello'));
    expect(broker.log.join()).toContain('van-1 may not publish to paku/edge/van-2/status');
    expect(broker.messages.filter(({ topic }) => !topic.startsWith('$aws/'))).toEqual([]);
  });

  it('is disconnected when it publishes a retained message without iot:RetainPublish', async () => {
    await expectClosed((client) => client.publish('paku/edge/van-1/report', 'hello', { retain: true }));
  });

  it('is disconnected when it subscribes outside of its policy', async () => {
    await expectClosed((client) => client.subscribe('paku/#'));
  });

  it('is disconnected when it uses QoS 2, which AWS IoT lacks', async () => {
    await expectClosed((client) => client.publish(STATUS, 'hello', { qos: 2 }));
  });

  it('is replaced by a newer connection with its client id', async () => {
    const older = await broker.connect('van-1');
    const end = closed(older);
    const newer = await broker.connect('van-1');
    await end;
    expect(newer.connected).toBe(true);
  });

  it('has its last will passed to the rules when its connection breaks', async () => {
    const client = await broker.connect('van-1', { will: WILL });
    const next = broker.nextMessage();
    client.stream.destroy();
    expect((await next).payload.toString()).toBe('gone');
  });

  it('has no last will passed on after a DISCONNECT, or when the broker shuts down', async () => {
    const [polite, cut] = [await broker.connect('van-1', { will: WILL }), await broker.connect('van-2')];
    await polite.endAsync();
    const end = closed(cut);
    await broker.broker.close();
    await end;
    expect(broker.messages).toEqual([]);
  });

  it('gets a retained message when it subscribes, and the rules do not get it again', async () => {
    const client = await broker.connect('van-1');
    await client.publishAsync(STATUS, 'kept', { qos: 1, retain: true });
    const received = nextReceived(client);
    await client.subscribeAsync(STATUS);
    expect((await received).payload).toBe('kept');
    expect(broker.messages).toHaveLength(1);
  });
});

describe('the lifecycle event', () => {
  const EVENT = '$aws/events/presence/disconnected/van-1';

  it('reaches the rules once when a policy ends a connection, whatever the client had sent', async () => {
    const next = broker.nextMessage();
    await expectClosed((client) => {
      client.subscribe('paku/#');
      client.publish('paku/edge/van-2/status', 'hello');
    });
    const { topic, payload, clientId } = await next;
    expect({ topic, clientId }).toEqual({ topic: EVENT, clientId: 'n/a' });
    expect(JSON.parse(payload.toString())).toMatchObject({ clientId: 'van-1', disconnectReason: 'AUTH_ERROR' });
    expect(broker.messages).toHaveLength(1);
  });

  it.each<[string, (client: MqttClient) => void]>([
    ['the connection breaks', (client) => client.stream.destroy()],
    ['the client disconnects', (client) => client.end()],
    ['the client uses QoS 2', (client) => client.publish(STATUS, 'hello', { qos: 2 })],
    ['the API disconnects it', () => broker.broker.disconnect('van-1')],
  ])('is not sent when %s', async (_, act) => {
    await expectClosed(act);
    await expect.poll(() => broker.broker.connectionOf('van-1')?.connected).toBe(false);
    expect(broker.messages).toEqual([]);
  });

  it('is not sent when the last will of a client is not allowed', async () => {
    const client = await broker.connect('van-1', { will: { ...WILL, topic: 'paku/edge/van-2/status' } });
    client.stream.destroy();
    await expect.poll(() => broker.broker.connectionOf('van-1')?.disconnectReason).toBe('CONNECTION_LOST');
    expect(broker.messages).toEqual([]);
  });
});

describe('a direct message', () => {
  const command = { clientId: 'van-1', topic: COMMAND, payload: Buffer.from('go'), confirmWithinMs: 5_000 };

  it('reaches a client that did not subscribe, and counts as delivered when the client acknowledges it', async () => {
    const client = await broker.connect('van-1');
    const received = nextReceived(client);
    expect(await broker.broker.sendDirect(command)).toBe('delivered');
    expect((await received).payload).toBe('go');
    expect(broker.messages).toEqual([]);
  });

  it('is not confirmed by the acknowledgement of another message on the topic', async () => {
    const client = await broker.connect('van-1');
    const held: (() => void)[] = [];
    const both = new Promise<void>((resolve) => {
      client.handleMessage = (_packet, done) => {
        held.push(done);
        resolve();
      };
    });
    const first = broker.broker.sendDirect(command);
    const second = broker.broker.sendDirect({ ...command, confirmWithinMs: 200 });
    await both;
    expect(await second).toBe('unconfirmed');
    held[0]?.();
    expect(await first).toBe('delivered');
  });

  it('reports a client that is not connected', async () => {
    expect(await broker.broker.sendDirect(command)).toBe('not-connected');
  });

  it('reports a client whose policy lacks iot:Receive on the topic', async () => {
    await broker.connect('van-1');
    expect(await broker.broker.sendDirect({ ...command, topic: 'paku/other' })).toBe('not-permitted');
  });
});
