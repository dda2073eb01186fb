import { CfnOutput, Duration, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import { GraphWidget, type IWidget } from 'aws-cdk-lib/aws-cloudwatch';
import { type ISubnet, type IVpc, SecurityGroup, Subnet, SubnetType, Vpc } from 'aws-cdk-lib/aws-ec2';
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
import { APP_ROLE } from '../core/db/index.ts';
import { ENV } from '../core/util/index.ts';
import type { Alarms } from './alarms.ts';
import { grantSecret } from './grant-secret.ts';
import type { Settings } from './settings.ts';

const DATABASE_NAME = 'paku_ota';

const AT_CAPACITY_PERCENT = 90;

export interface DatabaseProps {
  readonly settings: Settings;
}

/** Aurora PostgreSQL Serverless v2 behind the RDS Data API, with a secret for each of its two roles. */
export class Database extends Construct {
  private readonly cluster: DatabaseCluster;
  private readonly ownerSecret: ISecret;
  private readonly appSecret: Secret;

  constructor(scope: Construct, id: string, { settings }: DatabaseProps) {
    super(scope, id);
    const { minCapacity, maxCapacity, autoPauseMinutes } = settings.database;
    const removalPolicy = settings.dataRemovalPolicy === 'retain' ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY;
    const { vpc, subnets } = this.network(settings);
    this.cluster = new DatabaseCluster(this, 'Cluster', {
      engine: DatabaseClusterEngine.auroraPostgres({ version: AuroraPostgresEngineVersion.VER_17_7 }),
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
      deletionProtection: settings.dataRemovalPolicy === 'retain',
      removalPolicy,
    });
    // A database that outlives its stack is worth little without its passwords.
    (this.cluster.node.findChild('Secret') as Secret).applyRemovalPolicy(removalPolicy);
    const { secret } = this.cluster;
    if (secret === undefined) throw new Error('The cluster has no generated secret.');
    this.ownerSecret = secret;
    this.appSecret = new Secret(this, 'AppSecret', {
      description: 'The database role of every function: rows only, no schema',
      removalPolicy,
      generateSecretString: {
        secretStringTemplate: JSON.stringify({ username: APP_ROLE }),
        generateStringKey: 'password',
        excludePunctuation: true,
      },
    });
    if (settings.database.allowedSecurityGroupId !== undefined) this.letIn(settings.database.allowedSecurityGroupId);
    this.acknowledge(settings);
  }

  /** Lets a function read and write rows: the grant and the variables that say where. */
  grantApp(fn: LambdaFunction): void {
    this.grant(fn, this.appSecret);
  }

  /** Lets the migration change the schema and set the application role's password. */
  grantOwner(fn: LambdaFunction): void {
    this.grant(fn, this.ownerSecret);
    grantSecret(fn, this.appSecret);
    fn.addEnvironment(ENV.appSecretArn, this.appSecret.secretArn);
    fn.addToRolePolicy(
      new PolicyStatement({
        actions: ['rds-data:BeginTransaction', 'rds-data:CommitTransaction', 'rds-data:RollbackTransaction'],
        resources: [this.cluster.clusterArn],
      }),
    );
  }

  /** Made in the stack of the alarms: it depends on the data's, not the other way round. */
  alarmAtCapacity(scope: Construct, alarms: Alarms): void {
    alarms.add(scope, 'DatabaseAtCapacityAlarm', {
      metric: this.cluster.metricACUUtilization({ statistic: 'Average', period: Duration.minutes(5) }),
      description: 'The database works at the most capacity that it may have: everything waits for it.',
      section: 'database-at-its-capacity',
      threshold: AT_CAPACITY_PERCENT,
      evaluationPeriods: 3,
    });
  }

  graph(): IWidget {
    return new GraphWidget({
      title: 'Database: capacity units, connections',
      left: [this.cluster.metricServerlessDatabaseCapacity({ statistic: 'Average' })],
      right: [this.cluster.metricDatabaseConnections({ statistic: 'Average' })],
    });
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

  private letIn(securityGroupId: string): void {
    // Not ours: what it may send to is not changed here.
    const group = SecurityGroup.fromSecurityGroupId(this, 'Allowed', securityGroupId, { mutable: false });
    this.cluster.connections.allowDefaultPortFrom(group, 'Dashboards that read the database');
    const { socketAddress } = this.cluster.clusterEndpoint;
    new CfnOutput(Stack.of(this), 'DatabaseHost', { value: socketAddress });
  }

  /** Isolated subnets suffice: the Data API reaches the cluster from outside of the network. */
  private network(settings: Settings): { vpc: IVpc; subnets: ISubnet[] } {
    if (settings.vpc !== undefined) {
      const { vpcId, availabilityZones, isolatedSubnetIds } = settings.vpc;
      const vpc = Vpc.fromVpcAttributes(this, 'Vpc', { vpcId, availabilityZones, isolatedSubnetIds });
      return { vpc, subnets: isolatedSubnetIds.map((id, i) => Subnet.fromSubnetId(this, `Subnet${i}`, id)) };
    }
    const vpc = new Vpc(this, 'Vpc', {
      maxAzs: 2,
      natGateways: 0,
      restrictDefaultSecurityGroup: false,
      subnetConfiguration: [{ name: 'Isolated', subnetType: SubnetType.PRIVATE_ISOLATED, cidrMask: 24 }],
    });
    Validations.of(vpc).acknowledge({
      id: 'AwsSolutions-VPC7',
      reason:
        'The network has no route out and holds one cluster; the settings name the one group that may connect, if any.',
    });
    // exactOptionalPropertyTypes and the CDK's own declarations disagree about an optional property.
    return { vpc: vpc as IVpc, subnets: vpc.isolatedSubnets };
  }

  private acknowledge(settings: Settings): void {
    const cluster = Validations.of(this.cluster);
    cluster.acknowledge({
      id: 'AwsSolutions-RDS6',
      reason: 'Access is by the Data API: IAM decides who may call it, and with which secret.',
    });
    cluster.acknowledge({
      id: 'AwsSolutions-SMG4',
      reason: 'Rotating the owner needs a function inside the network; the secret is read by the migration alone.',
    });
    Validations.of(this.appSecret).acknowledge({
      id: 'AwsSolutions-SMG4',
      reason:
        'Each deployment sets the password of the role from this secret: a new value takes effect with the next one.',
    });
    if (settings.dataRemovalPolicy === 'destroy') {
      cluster.acknowledge({
        id: 'AwsSolutions-RDS10',
        reason: 'The deployment asked for data that goes with the stack.',
      });
    }
  }
}
