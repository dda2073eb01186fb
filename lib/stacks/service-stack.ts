import { CfnOutput, Stack } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { Migration } from '../database/index.ts';
import { Dispatch } from '../dispatch/index.ts';
import { Downloads } from '../downloads/index.ts';
import { FrontDoor } from '../front-door/index.ts';
import { Ingestion } from '../ingestion/index.ts';
import { Alarms, OperationsDashboard } from '../monitoring/index.ts';
import { OperatorApi } from '../operator-api/index.ts';
import { Orchestration } from '../orchestration/index.ts';
import { DeviceIdentity, Provisioning } from '../provisioning/index.ts';
import { ReleaseRegistration } from '../releases/index.ts';
import type { Settings } from '../settings/index.ts';
import type { DataStack } from './data-stack.ts';

export interface ServiceStackProps {
  readonly settings: Settings;
  readonly data: DataStack;
}

/** Everything that can be created again without loss. Each capability is one construct; this stack connects them. */
export class ServiceStack extends Stack {
  constructor(scope: Construct, id: string, { settings, data }: ServiceStackProps) {
    super(scope, id, { description: 'paku-ota: firmware updates for ESP32 fleets' });
    this.addStackDependency(data);
    const { database, firmware, linkSecret } = data;
    const alarms = new Alarms(this, 'Alarms', { settings });
    const migration = new Migration(this, 'Migration', { settings, database });
    const base = { settings, alarms, database, migration };

    const identity = new DeviceIdentity(this, 'DeviceIdentity', { settings });
    const provisioning = new Provisioning(this, 'Provisioning', { base, identity });
    const frontDoor = new FrontDoor(this, 'FrontDoor', { settings, alarms });
    const downloads = new Downloads(this, 'Download', { base, firmware, linkSecret, frontDoor });
    const { linkBaseUrl } = downloads;
    const dispatch = new Dispatch(this, 'Dispatch', { base, firmware, linkSecret, linkBaseUrl });
    const ingestion = new Ingestion(this, 'Ingest', { base, firmware, dispatch });
    const { status, ota } = ingestion;
    const orchestration = new Orchestration(this, 'Orchestrate', { base, firmware, dispatch, ingestion, identity });
    const releases = new ReleaseRegistration(this, 'RegisterRelease', { base, firmware });
    const queues = { status: status.work, ota: ota.work, upload: releases.work, dispatch: dispatch.work };
    const operatorApi = new OperatorApi(this, 'OperatorApi', {
      base,
      firmware,
      frontDoor,
      identity,
      queues,
      linkBaseUrl,
    });

    database.alarmAtCapacity(this, alarms);
    alarms.addThrottles();
    const capabilities = [provisioning, dispatch, downloads, orchestration, status, ota, releases, operatorApi];
    const dashboard = new OperationsDashboard(this, 'Dashboard', {
      alarms,
      functions: capabilities.map(({ fn }) => fn),
      graphs: [Object.values(queues).map((work) => work.graph()), [frontDoor.graph(), database.graph()]],
    });

    this.output({
      FirmwareBucket: firmware.bucket.bucketName,
      TopicPrefix: settings.topicPrefix,
      ApiUrl: frontDoor.url,
      DashboardName: dashboard.dashboardName,
      DevicePolicy: identity.policy.ref,
      DeviceThingType: identity.thingType.ref,
      DeviceThingGroup: identity.thingGroup.ref,
      ProvisioningTemplate: provisioning.template.ref,
      ProvisioningClaimPolicy: provisioning.claimPolicy.ref,
    });
  }

  private output(values: Readonly<Record<string, string>>): void {
    for (const [id, value] of Object.entries(values)) new CfnOutput(this, id, { value });
  }
}
