import fc from 'fast-check';
import type { MqttClient } from 'mqtt';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { compilePolicy } from '../../../../local/kernel/index.ts';
import { devicePolicy, readIotResources } from '../../../support/device-policy.ts';
import {
  ARN_PREFIX,
  type BrokerUnderTest,
  closed,
  startBrokerUnderTest,
} from '../../../support/local/device-connection.ts';

// The device policy of the synthesized template, tested over real sockets.
const OWN = 'ESP32-20E955A0';
const OTHER = 'ESP32-20E955A1';
const document = devicePolicy();

let broker: BrokerUnderTest;
beforeAll(async () => {
  broker = await startBrokerUnderTest(document);
});
afterAll(() => broker?.broker.close());
beforeEach(() => {
  broker.messages.length = 0;
});

/** The messages of clients that reached the rules, without the events of the broker itself. */
const published = () => broker.messages.filter(({ topic }) => !topic.startsWith('$aws/'));

/** Connects with the certificate of OWN and acts. @returns whether the broker accepted it or closed the connection */
async function attempt(act: (client: MqttClient) => Promise<unknown>): Promise<'taken' | 'closed'> {
  const client = await broker.connect(OWN);
  client.on('error', () => {});
  const end = closed(client).then(() => 'closed' as const);
  const done = act(client).then(
    () => 'taken' as const,
    // A packet that the client library refuses to send counts as refused.
    () => 'closed' as const,
  );
  const outcome = await Promise.race([end, done]);
  client.end(true);
  return outcome;
}

const publish = (topic: string, retain = false) =>
  attempt((client) => client.publishAsync(topic, '{}', { qos: 1, retain }));

/** Subscribes without the checks of the client library. */
const subscribe = (filter: string) =>
  attempt(
    (client) =>
      new Promise((resolve, reject) => {
        client.subscribe(filter, { qos: 1 }, (error, granted) =>
          error || granted?.some(({ qos }) => qos === 128) ? reject(error) : resolve(granted),
        );
      }),
  );

/** The two subtrees of a device. */
const subtrees = (id: string) => [`paku/edge/${id}`, `paku/devices/${id}`];
const leaves = ['status', 'ota/status', 'ota/progress', 'ota/result', 'config/report', 'telemetry/gps'];
/** A retained message on these would outlive the certificate that published it. */
const commands = subtrees(OWN).flatMap((tree) =>
  ['cmd/ota', 'cmd/wifi', 'control', 'config/set'].map((leaf) => `${tree}/${leaf}`),
);

describe('a device can', () => {
  test.each(subtrees(OWN).flatMap((tree) => leaves.map((leaf) => `${tree}/${leaf}`)))(
    'publish to %s',
    async (topic) => {
      expect(await publish(topic)).toBe('taken');
      expect(published().map((message) => message.topic)).toEqual([topic]);
    },
  );

  test.each(subtrees(OWN).flatMap((tree) => ['#', 'cmd/ota', 'cmd/+', '+/+'].map((leaf) => `${tree}/${leaf}`)))(
    'subscribe to %s',
    async (filter) => {
      expect(await subscribe(filter)).toBe('taken');
    },
  );

  test.each(subtrees(OWN).flatMap((tree) => leaves.map((leaf) => `${tree}/${leaf}`)))('retain %s', async (topic) => {
    expect(await publish(topic, true)).toBe('taken');
  });

  test.each(['paku/control', `paku/heater/${OWN}/cmd`, ...commands])('subscribe to %s', async (filter) => {
    expect(await subscribe(filter)).toBe('taken');
  });

  test.each([`paku/sensors/${OWN}_wired/data`, 'paku/sensors/ruuvi_cabin/data', 'paku/sensors/moko_1/data'])(
    'publish to %s',
    async (topic) => {
      expect(await publish(topic)).toBe('taken');
    },
  );
});

describe('a device is disconnected when it publishes to', () => {
  test.each(commands)('%s, on which it is told something, retained or not', async (topic) => {
    expect(await publish(topic)).toBe('closed');
    expect(await publish(topic, true)).toBe('closed');
    expect(published()).toEqual([]);
  });

  const others = [
    OTHER,
    `${OWN}0`,
    OWN.slice(0, -1),
    OWN.toLowerCase(),
    `${OWN} `,
    ` ${OWN}`,
    'ЕSP32-20E955A0',
    `${OWN}\u200b`,
  ];
  const tricks = ['*', '?', 'ESP32-*', 'ESP32-20E955A?', '', '.', '..', '$', '%45SP32-20E955A0'];
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a policy variable, taken literally
  const variable = '${iot:Connection.Thing.ThingName}';
  const topics = [
    ...others.flatMap((id) => subtrees(id).map((tree) => `${tree}/status`)),
    ...[...leaves, 'cmd/ota'].map((leaf) => `paku/devices/${OTHER}/${leaf}`),
    ...[...tricks, variable].map((id) => `paku/edge/${id}/status`),
    ...subtrees(OWN),
    `PAKU/edge/${OWN}/status`,
    `paku/Edge/${OWN}/status`,
    `/paku/edge/${OWN}/status`,
    `paku//edge/${OWN}/status`,
    `paku/other/${OWN}/status`,
    `other/edge/${OWN}/status`,
    `${OWN}/status`,
    'status',
    `$aws/things/${OWN}/shadow/update`,
    `$aws/rules/anything/paku/edge/${OWN}/status`,
    '$aws/certificates/create/json',
    '$aws/provisioning-templates/PakuOta-devices/provision/json',
    `$SYS/paku/edge/${OWN}/status`,
    'paku/control',
    `paku/heater/${OWN}/cmd`,
    `paku/heater/${OTHER}/cmd`,
    'paku/sensors',
    'paku/sensorsX/data',
  ];
  test.each(topics)('%s', async (topic) => {
    expect(await publish(topic)).toBe('closed');
    expect(published()).toEqual([]);
  });

  test.each([
    ...[...leaves, 'cmd/ota'].map((leaf) => `paku/edge/${OTHER}/${leaf}`),
    'paku/sensors/ruuvi_cabin/data',
    'paku/control',
  ])('%s, retained', async (topic) => {
    expect(await publish(topic, true)).toBe('closed');
    expect(published()).toEqual([]);
  });
});

describe('a device is disconnected when it subscribes to', () => {
  test.each([
    '#',
    '+',
    '+/#',
    '+/+/+/status',
    'paku/#',
    'paku/+/#',
    `paku/+/${OWN}/#`,
    `+/edge/${OWN}/status`,
    'paku/edge/#',
    'paku/edge/+/status',
    'paku/edge/+/cmd/ota',
    'paku/devices/+/cmd/ota',
    `paku/edge/${OTHER}/#`,
    `paku/devices/${OTHER}/cmd/ota`,
    `paku/edge/${OWN.toLowerCase()}/#`,
    'paku/edge/*/cmd/ota',
    'paku/edge//#',
    `PAKU/edge/${OWN}/#`,
    '$aws/#',
    `$aws/things/${OWN}/shadow/#`,
    '$SYS/#',
    `$share/thieves/paku/edge/${OTHER}/#`,
    '$share/thieves/paku/edge/+/status',
    'paku/sensors/#',
    'paku/sensors/ruuvi_cabin/data',
    'paku/heater/+/cmd',
    `paku/heater/${OTHER}/cmd`,
    'paku/control/#',
  ])('%s', async (filter) => {
    expect(await subscribe(filter)).toBe('closed');
  });
});

describe('a certificate cannot connect as another device:', () => {
  test.each([OTHER, OWN.toLowerCase(), `${OWN}0`, OWN.slice(0, -1), '', '*', `${OWN}/`, `${OWN}+`, '#', 'ESP32Client'])(
    'client id "%s"',
    async (clientId) => {
      await expect(broker.connect(OWN, { clientId })).rejects.toThrow();
    },
  );

  test.each(['a/b', 'ESP32-+', '#', '*', '', 'é', `${OWN}\0`, 'x'.repeat(65)])(
    'no certificate is issued for "%s"',
    async (deviceId) => {
      await expect(broker.connect(deviceId)).rejects.toThrow('is not a device id');
    },
  );
});

describe('the policy applies to a last will:', () => {
  test.each([
    [`paku/edge/${OWN}/status`, true, 1],
    [`paku/edge/${OWN}/status`, false, 1],
    [`paku/edge/${OWN}/gone`, true, 1],
    ['paku/sensors/gone', true, 0],
    [`paku/edge/${OTHER}/status`, false, 0],
    [`paku/edge/${OWN}/cmd/ota`, true, 0],
    [`$aws/things/${OWN}/shadow/update`, false, 0],
  ])('%s, retained: %s', async (topic, retain, delivered) => {
    const will = { topic, payload: Buffer.from('{"online":false}'), qos: 1 as const, retain };
    const client = await broker.connect(OWN, { will });
    client.on('error', () => {});
    const end = closed(client);
    client.stream.destroy();
    await end;
    // A later message of the same client: the will was evaluated before it.
    const next = await broker.connect(OWN);
    await expect
      .poll(async () => {
        await next.publishAsync(`paku/edge/${OWN}/after`, '{}', { qos: 1 });
        return published().length;
      })
      .toBeGreaterThan(1);
    next.end(true);
    expect(published().filter((message) => message.topic === topic)).toHaveLength(delivered);
  });
});

describe('a message of a device', () => {
  const policy = compilePolicy('the device policy', [document]);
  const { rules } = readIotResources();
  const segment = fc.oneof(
    fc.constantFrom(
      'paku',
      'edge',
      'devices',
      OWN,
      OTHER,
      'status',
      'ota',
      'result',
      'cmd',
      '',
      '+',
      '#',
      '*',
      '?',
      '..',
      '$aws',
    ),
    fc.string({ maxLength: 4 }),
  );
  const topics = fc.array(segment, { minLength: 1, maxLength: 7 }).map((segments) => segments.join('/'));

  test('reaches a rule only with the id of the device in its topic', () => {
    let reached = 0;
    fc.assert(
      fc.property(
        fc.oneof(
          topics,
          topics.map((rest) => `paku/edge/${OWN}/${rest}`),
        ),
        (topic) => {
          const context = { 'iot:Connection.Thing.ThingName': OWN };
          const isAllowed = policy.allows('iot:Publish', `${ARN_PREFIX}topic/${topic}`, context);
          if (!isAllowed || !rules.some((rule) => rule.matches({ topic, payload: Buffer.from('{}') }))) return;
          reached++;
          expect(topic.split('/')[2]).toBe(OWN);
        },
      ),
      { numRuns: 20_000 },
    );
    expect(reached).toBeGreaterThan(0);
  });

  test('is not allowed more by a wildcard in the name of the thing', () => {
    for (const thing of ['*', 'ESP32-*', 'ESP32-20E955A?', '+', '#']) {
      const context = { 'iot:Connection.Thing.ThingName': thing };
      expect(policy.allows('iot:Publish', `${ARN_PREFIX}topic/paku/edge/${OTHER}/status`, context)).toBe(false);
      expect(policy.allows('iot:Connect', `${ARN_PREFIX}client/${OTHER}`, context)).toBe(false);
    }
  });
});
