export { type DeviceTopic, deviceTopicName, type TopicAction } from './device-topics.ts';
export { eventSourceOf } from './name.ts';
export { checkRegion, REGIONS_WITHOUT_IOT_TYPES } from './regions.ts';
export { parseSettings, readSettings, type Settings } from './settings.ts';
export { signingSettings, trustsDetachedSignatures } from './signing.ts';
