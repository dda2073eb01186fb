export { type Broker, type BrokerMessage, startBroker } from './broker.ts';
export { iotDataService } from './iot-data.ts';
export { iotRegistryService } from './iot-registry.ts';
export { compileTopicRule, type TopicRule } from './topic-rules.ts';
