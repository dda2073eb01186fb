import { Duration } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import type { ServiceBase } from '../database/index.ts';
import type { Dispatch } from '../dispatch/index.ts';
import type { FirmwareStore } from '../firmware-store/index.ts';
import { ownMetric } from '../monitoring/index.ts';
import { TopicIngestion } from './topic-ingestion.ts';

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
      topicFilters: [`${prefix}/edge/+/status`],
      batchSize: 1_000,
    });
    firmware.grantIdleMarker(this.status.fn);
    dispatch.grantSend(this.status.fn);
    this.ota = new TopicIngestion(this, 'Ota', {
      base,
      name: 'ingest-ota',
      topicFilters: [`${prefix}/devices/+/ota/+`, `${prefix}/edge/+/ota/+`],
      batchSize: 500,
    });
    base.alarms.add(this, 'RejectedMessagesAlarm', {
      // A faulty device sends a rejected message each time; a long period makes one mail of them.
      metric: ownMetric('rejectedMessages', Duration.hours(1)),
      description: 'Devices sent messages that could not be taken.',
      section: 'rejected-messages',
    });
  }
}
