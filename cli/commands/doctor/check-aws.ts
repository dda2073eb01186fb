import { DescribeEndpointCommand, IoTClient } from '@aws-sdk/client-iot';
import {
  IoTDataPlaneClient,
  ResourceNotFoundException,
  SendDirectMessageCommand,
} from '@aws-sdk/client-iot-data-plane';
import {
  GetBucketNotificationConfigurationCommand,
  GetBucketVersioningCommand,
  GetObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { readAmazonRoots, type Target } from '../../session/index.ts';
import type { Check } from './check.ts';
import { checkRoots } from './check-roots.ts';
import { checkTlsHandshake } from './tls-handshake.ts';

const clientOf = ({ region, credentials }: Pick<Target, 'region' | 'credentials'>) => ({
  region,
  credentials,
  maxAttempts: 2,
});
const MQTT_PORT = 8883;

/** Operators may lack the rights for these checks. */
const isDenied = (error: Error) => /AccessDenied|Forbidden|NotAuthorized|Unauthorized/.test(error.name);

/** The result of a check; `not tested` when IAM denies it. */
async function unlessDenied(check: string, work: () => Promise<Check>): Promise<Check> {
  try {
    return await work();
  } catch (error) {
    if (!isDenied(error as Error)) throw error;
    return { check, outcome: 'not tested', detail: `your identity may not look: ${(error as Error).message}` };
  }
}

/** @throws Error when the account's broker does not answer */
export function checkBroker(target: Target): Promise<Check> {
  return unlessDenied('broker', async () => {
    const iot = new IoTClient(clientOf(target));
    const { endpointAddress = '' } = await iot.send(new DescribeEndpointCommand({ endpointType: 'iot:Data-ATS' }));
    await checkTlsHandshake(endpointAddress, MQTT_PORT);
    const detail = `mqtts://${endpointAddress}:${MQTT_PORT} shows a certificate that this machine trusts`;
    return { check: 'broker', outcome: 'pass', detail };
  });
}

/** Compares the chains of the broker, of the links and of the bucket with the roots that devices get. */
export function checkTrustAnchors(target: Target): Promise<Check> {
  return unlessDenied('roots of devices', async () => {
    const iot = new IoTClient(clientOf(target));
    const { endpointAddress = '' } = await iot.send(new DescribeEndpointCommand({ endpointType: 'iot:Data-ATS' }));
    const s3 = new S3Client(clientOf(target));
    const url = await getSignedUrl(
      s3,
      new GetObjectCommand({ Bucket: target.outputs?.get('FirmwareBucket'), Key: 'x' }),
    );
    const hosts = [new URL(target.apiUrl).hostname, new URL(url).hostname];
    const endpoints = [{ host: endpointAddress, port: MQTT_PORT }, ...hosts.map((host) => ({ host, port: 443 }))];
    return checkRoots(endpoints, readAmazonRoots());
  });
}

/** Checks that the bucket is versioned and sends events of uploads. */
export function checkBucket(target: Target): Promise<Check> {
  return unlessDenied('firmware bucket', async () => {
    const Bucket = target.outputs?.get('FirmwareBucket') ?? '';
    const s3 = new S3Client(clientOf(target));
    const [versioning, notification] = await Promise.all([
      s3.send(new GetBucketVersioningCommand({ Bucket })),
      s3.send(new GetBucketNotificationConfigurationCommand({ Bucket })),
    ]);
    const missing = [
      ...(versioning.Status === 'Enabled' ? [] : ['versioning is off']),
      ...(notification.EventBridgeConfiguration ? [] : ['events do not go to EventBridge: uploads are never seen']),
    ];
    if (missing.length > 0)
      return { check: 'firmware bucket', outcome: 'fail', detail: `${Bucket}: ${missing.join('; ')}` };
    return { check: 'firmware bucket', outcome: 'pass', detail: `${Bucket} is versioned and announces uploads` };
  });
}

export type DirectAnswer =
  | { readonly kind: 'absent' }
  | { readonly kind: 'other' | 'denied'; readonly message: string; readonly error?: Error };

/**
 * Sends a message to a client id that no device has, so that nothing is delivered; 404 is expected.
 * @param topicPrefix of the deployment, which may be all that the caller is granted
 */
export async function sendToAbsentClient(
  target: Pick<Target, 'region' | 'credentials'>,
  topicPrefix: string,
): Promise<DirectAnswer> {
  const client = new IoTDataPlaneClient({ ...clientOf(target), maxAttempts: 1 });
  const clientId = `paku-ota-doctor-${crypto.randomUUID()}`;
  const message = {
    clientId,
    topic: `${topicPrefix}/devices/${clientId}/cmd/ota`,
    payload: new Uint8Array(),
    confirmation: true,
  };
  try {
    await client.send(new SendDirectMessageCommand(message));
    return { kind: 'other', message: 'a message to a client that is not connected was accepted' };
  } catch (error) {
    if (error instanceof ResourceNotFoundException) return { kind: 'absent' };
    const { name, message: said } = error as Error;
    return { kind: isDenied(error as Error) ? 'denied' : 'other', message: `${name}: ${said}`, error: error as Error };
  }
}
