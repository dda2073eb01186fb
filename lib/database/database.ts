import { CfnOutput, Duration, Stack, Validations } from 'aws-cdk-lib';
import { GraphWidget, type IWidget } from 'aws-cdk-lib/aws-cloudwatch';
import { SecurityGroup } from 'aws-cdk-lib/aws-ec2';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import {
  AuroraPostgresEngineVersion,
  ClusterInstance,
  Credentials,
  DatabaseCluster,
  DatabaseClusterEngine,
} from 'aws-cdk-lib/aws-rds';
import { type ISecret, Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { DATABASE_ROLES, type DatabaseRole } from '../../core/db/index.ts';
import { ENV } from '../../core/util/index.ts';
import type { Alarms } from '../monitoring/index.ts';
import type { Settings } from '../settings/index.ts';
import { grantSecret, removalPolicyOf } from '../shared/index.ts';
import { databaseNetwork } from './network.ts';

const DATABASE_NAME = 'paku_ota';

const AT_CAPACITY_PERCENT = 90;

export interface DatabaseProps {
  readonly settings: Settings;
}

/** Aurora PostgreSQL Serverless v2 with the RDS Data API, and a secret for each of its roles. */
export class Database extends Construct {
  private readonly cluster: DatabaseCluster;
  private readonly ownerSecret: ISecret;
  private readonly roleSecrets: Readonly<Record<DatabaseRole, Secret>>;

  constructor(scope: Construct, id: string, { settings }: DatabaseProps) {
    super(scope, id);
    this.cluster = this.createCluster(settings);
    // A cluster that is retained is of no use without its passwords.
    (this.cluster.node.findChild('Secret') as Secret).applyRemovalPolicy(removalPolicyOf(settings));
    const { secret } = this.cluster;
    if (secret === undefined) throw new Error('The cluster has no generated secret.');
    this.ownerSecret = secret;
    this.roleSecrets = {
      public: this.createRoleSecret('public', settings),
      ingest: this.createRoleSecret('ingest', settings),
      control: this.createRoleSecret('control', settings),
    };
    if (settings.database.allowedSecurityGroupId !== undefined) this.allow(settings.database.allowedSecurityGroupId);
    this.acknowledge();
  }

  /** Lets a function read and write the rows of its role: the permissions, and the variables that say where. */
  grantRole(fn: LambdaFunction, role: DatabaseRole): void {
    this.grant(fn, this.roleSecrets[role]);
  }

  /** Lets the migration change the schema and set the passwords of the functions' roles. */
  grantOwner(fn: LambdaFunction): void {
    this.grant(fn, this.ownerSecret);
    const { public: publicSecret, ingest, control } = this.roleSecrets;
    for (const secret of [publicSecret, ingest, control]) grantSecret(fn, secret);
    const arns = { public: publicSecret.secretArn, ingest: ingest.secretArn, control: control.secretArn };
    fn.addEnvironment(ENV.roleSecretArns, JSON.stringify(arns));
    fn.addToRolePolicy(
      new PolicyStatement({
        actions: ['rds-data:BeginTransaction', 'rds-data:CommitTransaction', 'rds-data:RollbackTransaction'],
        resources: [this.cluster.clusterArn],
      }),
    );
  }

  /** The scope is in the service stack, which has the alarms and depends on this one. */
  alarmAtCapacity(scope: Construct, alarms: Alarms): void {
    alarms.add(scope, 'DatabaseAtCapacityAlarm', {
      metric: this.cluster.metricACUUtilization({ statistic: 'Average', period: Duration.minutes(5) }),
      description: 'The database works at the most capacity that it may have: everything waits for it.',
      section: 'database-at-its-capacity',
      threshold: AT_CAPACITY_PERCENT,
      evaluationPeriods: 3,
    });
  }

  /** Capacity units and connections. */
  graph(): IWidget {
    return new GraphWidget({
      title: 'Database: capacity units, connections',
      left: [this.cluster.metricServerlessDatabaseCapacity({ statistic: 'Average' })],
      right: [this.cluster.metricDatabaseConnections({ statistic: 'Average' })],
    });
  }

  private createCluster(settings: Settings): DatabaseCluster {
    const { minCapacity, maxCapacity, autoPauseMinutes, engineVersion } = settings.database;
    const [major = ''] = engineVersion.split('.');
    const { vpc, subnets } = databaseNetwork(this, settings);
    return new DatabaseCluster(this, 'Cluster', {
      engine: DatabaseClusterEngine.auroraPostgres({ version: AuroraPostgresEngineVersion.of(engineVersion, major) }),
      writer: ClusterInstance.serverlessV2('Writer'),
      serverlessV2MinCapacity: minCapacity,
      serverlessV2MaxCapacity: maxCapacity,
      ...(minCapacity === 0 ? { serverlessV2AutoPauseDuration: Duration.minutes(autoPauseMinutes) } : {}),
      enableDataApi: true,
      vpc,
      vpcSubnets: { subnets },
      credentials: Credentials.fromGeneratedSecret('paku_owner'),
      defaultDatabaseName: DATABASE_NAME,
      storageEncrypted: true,
      backup: { retention: Duration.days(7) },
      removalPolicy: removalPolicyOf(settings),
    });
  }

  private createRoleSecret(role: DatabaseRole, settings: Settings): Secret {
    const secret = new Secret(this, `${role[0]?.toUpperCase()}${role.slice(1)}Secret`, {
      description: `The database role ${DATABASE_ROLES[role]}: some rows, no schema`,
      removalPolicy: removalPolicyOf(settings),
      generateSecretString: {
        secretStringTemplate: JSON.stringify({ username: DATABASE_ROLES[role] }),
        generateStringKey: 'password',
        excludePunctuation: true,
      },
    });
    Validations.of(secret).acknowledge({
      id: 'AwsSolutions-SMG4',
      reason:
        'Each deployment that changes the schema sets the password of the role from this secret, so a new value takes effect then.',
    });
    return secret;
  }

  private grant(fn: LambdaFunction, secret: Pick<ISecret, 'secretArn'>): void {
    fn.addToRolePolicy(
      new PolicyStatement({ actions: ['rds-data:ExecuteStatement'], resources: [this.cluster.clusterArn] }),
    );
    grantSecret(fn, secret);
    fn.addEnvironment(ENV.clusterArn, this.cluster.clusterArn);
    fn.addEnvironment(ENV.databaseSecretArn, secret.secretArn);
    fn.addEnvironment(ENV.databaseName, DATABASE_NAME);
  }

  private allow(securityGroupId: string): void {
    // The group belongs to somebody else, so its own rules stay as they are.
    const group = SecurityGroup.fromSecurityGroupId(this, 'Allowed', securityGroupId, { mutable: false });
    this.cluster.connections.allowDefaultPortFrom(group, 'Dashboards that read the database');
    const { socketAddress } = this.cluster.clusterEndpoint;
    new CfnOutput(Stack.of(this), 'DatabaseHost', { value: socketAddress });
  }

  private acknowledge(): void {
    const cluster = Validations.of(this.cluster);
    cluster.acknowledge({
      id: 'AwsSolutions-RDS6',
      reason: 'Access is by the Data API: IAM decides who may call it, and with which secret.',
    });
    cluster.acknowledge({
      id: 'AwsSolutions-SMG4',
      reason: 'Rotating the owner needs a function inside the network; the secret is read by the migration alone.',
    });
    cluster.acknowledge({
      id: 'AwsSolutions-RDS10',
      reason: 'A protected cluster outlives a first deployment that fails; docs/deploy.md switches it on afterwards.',
    });
  }
}
