import { Duration, Stack } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { DISCONNECTED_TOPIC, REFUSAL_REASONS } from '../../core/protocol/index.ts';
import { DEVICE_ID, ENV } from '../../core/util/index.ts';
import type { DatabaseFunction, ServiceBase } from '../database/index.ts';
import type { Dispatch } from '../dispatch/index.ts';
import type { FirmwareStore } from '../firmware-store/index.ts';
import { ownMetric } from '../monitoring/index.ts';
import { TopicIngestion } from './topic-ingestion.ts';
import type { TopicSource } from './topic-rules.ts';

/**
 * Disconnections of clients by their policy. AWS IoT publishes an event for every connection of the account; a rule and
 * an action for each would cost more than the statuses, so the rule takes only those whose client can be a device.
 */
const REFUSALS: TopicSource = {
  filter: `${DISCONNECTED_TOPIC}+`,
  where: `(${REFUSAL_REASONS.map((reason) => `disconnectReason = '${reason}'`).join(' OR ')}) AND regexp_matches(clientId, '${DEVICE_ID.source}')`,
};

export interface IngestionProps {
  readonly base: ServiceBase;
  /** Holds the idle marker, which a status can end. */
  readonly firmware: FirmwareStore;
  /** Gets the pending updates of devices that came online. */
  readonly dispatch: Dispatch;
}

/** Status messages and OTA reports of devices. */
export class Ingestion extends Construct {
  readonly status: TopicIngestion;
  readonly ota: TopicIngestion;

  constructor(scope: Construct, id: string, { base, firmware, dispatch }: IngestionProps) {
    super(scope, id);
    const { topicPrefix: prefix } = base.settings;
    this.status = new TopicIngestion(this, 'Status', {
      base,
      name: 'ingest-status',
      sources: [{ filter: `${prefix}/edge/+/status`, withPrincipal: true }, REFUSALS],
      batchSize: 1_000,
    });
    this.status.fn.addEnvironment(ENV.identityChanges, base.settings.identityChanges);
    this.status.fn.addEnvironment(ENV.defaultModel, JSON.stringify(base.settings.defaultModel ?? null));
    firmware.grantIdleMarker(this.status.fn);
    dispatch.grantSend(this.status.fn);
    this.ota = new TopicIngestion(this, 'Ota', {
      base,
      name: 'ingest-ota',
      sources: [{ filter: `${prefix}/devices/+/ota/+` }, { filter: `${prefix}/edge/+/ota/+` }],
      batchSize: 500,
    });
    base.alarms.add(this, 'RejectedMessagesAlarm', {
      // A faulty device sends a rejected message each time; a long period makes one mail of them.
      metric: ownMetric(this, 'rejectedMessages', Duration.hours(1)),
      description: 'Devices sent messages that could not be taken.',
      section: 'rejected-messages',
    });
    base.alarms.add(this, 'RefusedClientsAlarm', {
      metric: ownMetric(this, 'refusedClients', Duration.hours(1)),
      description: 'AWS IoT disconnected clients again and again, because their policy does not allow what they do.',
      section: 'refused-devices',
      threshold: 3,
    });
  }

  /** Lets a function count the messages that wait to be processed, and tells it the queues. */
  grantCount(fn: DatabaseFunction): void {
    const queues = { status: this.status.queues, ota: this.ota.queues };
    for (const queue of Object.values(queues).flat()) queue.grant(fn, 'sqs:GetQueueAttributes');
    const urls = Object.entries(queues).map(([name, all]) => [name, all.map(({ queueUrl }) => queueUrl)]);
    fn.addEnvironment(ENV.ingestionQueues, Stack.of(this).toJsonString(Object.fromEntries(urls)));
  }
}
