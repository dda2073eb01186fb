import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { IoTDataPlaneClient, PublishCommand } from '@aws-sdk/client-iot-data-plane';
import mqtt from 'mqtt';
import { ApiClient } from '../../api/client.ts';
import { signedFetch } from '../../api/signed-fetch.ts';
import { AWAKE_MINUTES } from '../../core/orchestrator/index.ts';
import { buildImage } from '../../fleet/build-image.ts';
import type { VirtualDeviceOptions } from '../../fleet/device-options.ts';
import { CertificateAuthority } from '../../local/kernel/index.ts';
import { startRuntime } from '../../local/runtime/index.ts';
import { ASSEMBLY } from './assembly.ts';
import { CapturedFirmware } from './captured-firmware.ts';
import { addDeadLetter, deadLetterQueues } from './dead-letters.ts';
import { type Fault, interceptorsOf } from './faults.ts';
import type { GrantRecorder } from './grant-recorder.ts';
import type { TestSystem } from './system.ts';

export interface Story {
  readonly name: string;
  /** Plays the story after the previous ones. @throws Error if it does not end as expected */
  play(system: TestSystem, grants: GrantRecorder): Promise<void>;
}

/** Stories that together use every feature of every function, the shortest first. */
export const STORIES: readonly Story[] = [
  { name: 'a device reports', play: (system) => report(system, VAN) },
  { name: 'a device of the field hears its operator', play: hearOperator },
  { name: 'an operator looks at a device', play: lookAt },
  { name: 'an upload becomes a release', play: (system) => release(system, VAN.model) },
  { name: 'an operator redrives dead letters', play: redriveDeadLetters },
  { name: 'an operator uploads a file and has it verified again', play: uploadByApi },
  { name: 'an operator revokes a device that never reported', play: revoke },
  { name: 'a device uses another certificate, and its older one is revoked', play: replaceCertificate },
  { name: 'a device that is not allowed requests a certificate', play: askForCertificate },
  { name: 'the system is in idle mode until a device reports a change', play: idleUntilChange },
  { name: 'a migration that fails is rolled back', play: (_, grants) => failToMigrate(grants) },
  { name: 'a device that was offline is updated', play: updateOfflineDevice },
  { name: 'a device of the newer firmware generation is updated', play: updateNewerDevice },
];

const VAN = { deviceId: 'van-1', model: 'esp32-s3', behaviours: { slowRebootSeconds: 0.2 } };
const HEATER = 'heater-1';

/** Starts a system whose migration fails and is rolled back. */
async function failToMigrate(audit: GrantRecorder): Promise<void> {
  const home = mkdtempSync(join(tmpdir(), 'paku-ota-grants-'));
  let isInTransaction = false;
  const fault: Fault = { kind: 'refused', code: 'BadRequestException', status: 400 };
  const faults = {
    onCall: ({ operation }: { readonly operation: string }) => {
      if (operation === 'POST /BeginTransaction') isInTransaction = true;
      return operation === 'POST /Execute' && isInTransaction ? fault : undefined;
    },
  };
  const ports = { mqtt: 0, aws: 0, api: 0 };
  const started = await startRuntime({
    assembly: ASSEMBLY,
    home,
    ports,
    interceptors: interceptorsOf(faults),
    audit,
  }).then(
    (runtime) => runtime.close().then(() => true),
    () => false,
  );
  rmSync(home, { recursive: true, force: true });
  if (started) throw new Error('a migration that could not work was taken for done');
}

async function report(system: TestSystem, options: Partial<VirtualDeviceOptions> & { deviceId: string }) {
  const device = await system.device(options);
  await system.until(`SELECT 1 FROM devices WHERE device_id = '${options.deviceId}' AND online`);
  return device.stop();
}

/** The device connects as firmware 1.4.2 does, and an operator publishes on the topics that it listens to. */
async function hearOperator(system: TestSystem): Promise<void> {
  const heater = `paku/heater/${HEATER}/cmd`;
  const window = await new CapturedFirmware(system, '1.4.2', HEATER).openWindow();
  await window.subscribe(heater);
  await window.retain(`paku/devices/${HEATER}/wifi/report`);
  const { region, dataApi } = system.runtime.endpoints;
  const operator = new IoTDataPlaneClient({ region, endpoint: dataApi.endpoint, credentials: dataApi });
  for (const topic of ['paku/control', heater]) {
    const arrived = window.heard(topic);
    await operator.send(new PublishCommand({ topic, payload: Buffer.from('{}'), qos: 1 }));
    await arrived;
  }
  operator.destroy();
  await window.close();
}

async function lookAt(system: TestSystem): Promise<void> {
  const { connection } = await apiOf(system).device(VAN.deviceId);
  if (connection?.state !== 'disconnected') throw new Error(`AWS IoT says: ${connection?.text}`);
  const window = await new CapturedFirmware(system, '1.4.2', HEATER).openWindow();
  await system.until(`SELECT 1 FROM devices WHERE device_id = '${HEATER}'`);
  const { connection: open } = await apiOf(system).device(HEATER);
  await window.close();
  if (!open?.topics?.includes('paku/control')) throw new Error(`AWS IoT says: ${open?.text}`);
}

async function release(system: TestSystem, model: string): Promise<void> {
  await system.upload(`firmware/1.1.0/${model}.bin`, buildImage({ version: '1.1.0' }));
  await system.until(`SELECT 1 FROM firmware_releases WHERE device_model = '${model}'`);
}

async function askForCertificate({ runtime }: TestSystem): Promise<void> {
  const answer = await runtime.askProvisioningHook({
    claimCertificateId: 'a-claim',
    certificateId: 'a-certificate',
    clientId: 'claim/a-stranger',
    parameters: { DeviceId: 'a-stranger' },
  });
  if ((answer as { allowProvisioning?: boolean }).allowProvisioning !== false) throw new Error('it was given one');
}

/** `ingest-status` caches the idle marker for less than this time. */
const MARKER_CACHE_SECONDS = 16;

async function idleUntilChange(system: TestSystem): Promise<void> {
  const client = apiOf(system);
  await system.later(2 * AWAKE_MINUTES);
  if ((await client.fleet()).idle_since === null) throw new Error('the system is not in idle mode');
  await report(system, { ...VAN, deviceId: 'van-2', mac: 'A0:B7:65:20:E9:56', model: 'esp32-c3' });
  await system.runtime.idle();
  if ((await client.fleet()).idle_since !== null) throw new Error('the system is in idle mode despite a new device');
  await system.advance({ seconds: MARKER_CACHE_SECONDS });
}

async function updateOfflineDevice(system: TestSystem): Promise<void> {
  await rollOut(system, VAN.model);
  await system.runtime.tick();
  await system.runtime.idle();
  await system.device(VAN);
  await running(system, VAN.deviceId);
}

async function updateNewerDevice(system: TestSystem): Promise<void> {
  const model = 'esp32-s3-display';
  await system.device({ ...VAN, deviceId: 'display-1', model, topicFamily: 'edge', statusForm: '1.4.2' });
  await system.until(`SELECT 1 FROM devices WHERE device_id = 'display-1'`);
  // As after the first report of the device on the newer topics.
  await system.database.query(`UPDATE devices SET command_family = 'edge' WHERE device_id = 'display-1'`);
  await release(system, model);
  await rollOut(system, model);
  await system.runtime.tick();
  await running(system, 'display-1');
}

const rollOut = (system: TestSystem, model: string) =>
  apiOf(system).createRollout({ name: model, firmware_version: '1.1.0', device_model: model, stages: [] });

/** Waits until the service has received the result and the new version. */
const running = (system: TestSystem, deviceId: string) =>
  system.until(
    `SELECT 1 FROM device_update_status AS u WHERE device_id = '${deviceId}' AND booted_at IS NOT NULL
       AND EXISTS (SELECT FROM ota_events AS e WHERE e.update_id = u.id AND e.event_type = 'result')`,
  );

async function uploadByApi(system: TestSystem): Promise<void> {
  const client = apiOf(system);
  const { upload_url: url, headers } = await client.startUpload({ device_model: 'esp32-c3', version: '1.1.0' });
  const put = await fetch(url, { method: 'PUT', headers, body: new Uint8Array(100) });
  if (!put.ok) throw new Error(`the upload was answered with ${put.status}`);
  await system.until(`SELECT 1 FROM rejected_uploads WHERE object_key LIKE '%c3.bin'`);
  await client.rescanUpload('firmware/1.1.0/esp32-c3.bin');
  await system.runtime.idle();
  const { items } = await client.rejectedUploads();
  if (items.length !== 1) throw new Error(`${items.length} uploads were rejected, expected the one`);
  const missing = await client.rescanUpload('firmware/1.1.0/esp32-nothing.bin').catch(({ problem }) => problem.status);
  if (missing !== 404) throw new Error(`an upload that is not there was answered with ${missing}`);
}

async function revoke(system: TestSystem): Promise<void> {
  await system.runtime.addDevice('lost-1');
  const { certificates } = await apiOf(system).revokeDevice('lost-1', 'lost on its way');
  if (certificates.length !== 1) throw new Error(`${certificates.length} certificates were revoked, expected 1`);
}

async function replaceCertificate(system: TestSystem): Promise<void> {
  const authority = await CertificateAuthority.open(join(system.home, 'certificates'));
  await authority.addDevice('twice-1');
  const files = await authority.replaceDevice('twice-1');
  const { host, port, caFile } = system.runtime.endpoints.mqtt;
  const client = await mqtt.connectAsync({
    protocol: 'mqtts',
    host,
    port,
    ca: readFileSync(caFile),
    cert: readFileSync(files.certificateFile),
    key: readFileSync(files.privateKeyFile),
    clientId: 'twice-1',
    protocolVersion: 4,
    reconnectPeriod: 0,
  });
  await client.publishAsync('paku/edge/twice-1/status', '{"firmware_version":"1.0.0"}', { qos: 1 });
  await client.endAsync();
  await system.until(`SELECT 1 FROM devices WHERE device_id = 'twice-1' AND certificate_is_new`);
  await system.runtime.tick();
  await system.until(`SELECT 1 FROM ota_events WHERE device_id = 'twice-1' AND event_type = 'certificates_revoked'`);
}

async function redriveDeadLetters(system: TestSystem): Promise<void> {
  for (const name of deadLetterQueues()) await addDeadLetter(system, name, '{}');
  const client = apiOf(system);
  for (const { queue, messages } of (await client.deadLetters()).items) {
    if (messages !== 1) throw new Error(`${queue} holds ${messages} dead letters, expected 1`);
    await client.redriveDeadLetters(queue);
  }
  await system.runtime.idle();
  const left = (await client.deadLetters()).items.filter(({ messages }) => messages > 0);
  if (left.length > 0) throw new Error(`dead letters were left: ${JSON.stringify(left)}`);
}

function apiOf(system: TestSystem): ApiClient {
  const { api, region, dataApi } = system.runtime.endpoints;
  return new ApiClient(
    api.url,
    signedFetch(region, dataApi, () => system.now()),
  );
}
