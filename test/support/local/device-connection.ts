import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import { CertificateAuthority, type CertificateFiles, compilePolicy } from '../../../local/kernel/index.ts';
import { type Broker, type BrokerMessage, startBroker } from '../../../local/services/iot/index.ts';

export const ARN_PREFIX = 'arn:aws:iot:eu-west-1:000000000000:';
// biome-ignore lint/suspicious/noTemplateCurlyInString: a policy variable, which the policy evaluator fills in
const THING = '${iot:Connection.Thing.ThingName}';

const allow = (actions: string[], ...resources: string[]) => ({
  Effect: 'Allow',
  Action: actions,
  Resource: resources.map((resource) => ARN_PREFIX + resource),
});

/** Lets a device connect as itself, use its subtree, and retain its status. */
const DEVICE_POLICY = {
  Version: '2012-10-17',
  Statement: [
    allow(['iot:Connect'], `client/${THING}`),
    allow(['iot:Publish', 'iot:Receive'], `topic/paku/edge/${THING}/*`),
    allow(['iot:RetainPublish'], `topic/paku/edge/${THING}/status`),
    allow(['iot:Subscribe'], `topicfilter/paku/edge/${THING}/*`),
  ],
};

/** A broker on a free port, the messages that reached its rules, and connections of devices. */
export interface BrokerUnderTest {
  readonly broker: Broker;
  readonly authority: CertificateAuthority;
  readonly messages: BrokerMessage[];
  readonly log: string[];
  /** Resolves with the next message that reaches the rules. */
  nextMessage(): Promise<BrokerMessage>;
  /** Connects with the certificate of `deviceId`. */
  connect(deviceId: string, options?: IClientOptions): Promise<MqttClient>;
  connectWith(files: CertificateFiles, clientId: string, options?: IClientOptions): Promise<MqttClient>;
}

/** @param document the policy of every device certificate */
export async function startBrokerUnderTest(document: object = DEVICE_POLICY): Promise<BrokerUnderTest> {
  const authority = await CertificateAuthority.open(await mkdtemp(join(tmpdir(), 'paku-broker-')));
  const messages: BrokerMessage[] = [];
  const log: string[] = [];
  let arrived: (message: BrokerMessage) => void = () => {};
  const onMessage = (message: BrokerMessage) => {
    messages.push(message);
    arrived(message);
  };
  const policy = compilePolicy('the device policy', [document]);
  const broker = await startBroker({
    host: '127.0.0.1',
    port: 0,
    authority,
    policy,
    onMessage,
    log: (line) => log.push(line),
  });
  const connectWith: BrokerUnderTest['connectWith'] = async (
    { certificateFile, privateKeyFile },
    clientId,
    options,
  ) => {
    return mqtt.connectAsync({
      protocol: 'mqtts',
      host: '127.0.0.1',
      port: broker.port,
      ca: await readFile(authority.caFile),
      cert: await readFile(certificateFile),
      key: await readFile(privateKeyFile),
      clientId,
      protocolVersion: 4,
      reconnectPeriod: 0,
      ...options,
    });
  };
  return {
    broker,
    authority,
    messages,
    log,
    nextMessage: () =>
      new Promise((resolve) => {
        arrived = resolve;
      }),
    connect: async (deviceId, options) => connectWith(await authority.addDevice(deviceId), deviceId, options),
    connectWith,
  };
}

export interface Received {
  readonly topic: string;
  readonly payload: string;
  readonly qos: number;
}

/** The next message that a device receives. */
export const nextReceived = (client: MqttClient): Promise<Received> =>
  new Promise((resolve) => {
    client.once('message', (topic, payload, { qos }) => resolve({ topic, payload: payload.toString(), qos }));
  });

/** Resolves when the connection is closed. */
export const closed = (client: MqttClient): Promise<void> =>
  new Promise((resolve) => {
    client.once('close', () => resolve());
  });
