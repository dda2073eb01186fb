import { RDSDataClient } from '@aws-sdk/client-rds-data';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dataApiDatabase } from '../../../core/db/index.ts';
import { buildImage } from '../../../fleet/build-image.ts';
import { type OwnImage, startDemo } from '../../../local/start/demo.ts';
import { startTestSystem, type TestSystem } from '../../support/system.ts';

let system: TestSystem;
beforeAll(async () => {
  system = await startTestSystem();
});
afterAll(() => system?.close());

const VANS = 2;

/** Starts the demonstration as `npm start` does. @returns a function that stops it */
function start(own?: OwnImage): Promise<() => Promise<void>> {
  const { region, dataApi } = system.runtime.endpoints;
  const client = new RDSDataClient({ region, endpoint: dataApi.endpoint, credentials: dataApi });
  return startDemo(system.runtime, dataApiDatabase(client, dataApi), system.home, own, VANS);
}

const vansThat = (condition: string) =>
  system.until(`SELECT 1 FROM devices WHERE ${condition} HAVING count(*) = ${VANS}`);

test('the vans of a plain start become boards of the model that a later start names, and get its image', async () => {
  const stop = await start();
  await vansThat(`device_model = 'esp32-s3' AND NOT model_is_assumed`);
  await stop();
  const image = buildImage({ chip: 'ESP32-C3', version: '2.0.0', codeBytes: 10_000 });
  const stopAgain = await start({ model: 'esp32-c3', version: '2.0.0', chip: 'ESP32-C3', image });
  await system.later(1);
  await vansThat(`device_model = 'esp32-c3' AND identity_changed_at IS NULL AND current_firmware_version = '2.0.0'`);
  expect(await system.database.query('SELECT DISTINCT firmware_version FROM device_update_status')).toEqual([
    { firmware_version: '2.0.0' },
  ]);
  await stopAgain();
  const stopPlain = await start();
  await vansThat(`device_model = 'esp32-c3' AND identity_changed_at IS NULL AND online`);
  await stopPlain();
});
