import { Duration, Stack, Validations } from 'aws-cdk-lib';
import { AnyPrincipal, Effect, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { BlockPublicAccess, Bucket, BucketEncryption, type CfnBucket } from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';
import { IDLE_MARKER_KEY, PRESIGNED_SECONDS, RELEASES_PREFIX, UPLOADS_PREFIX } from '../../core/protocol/index.ts';
import { ENV } from '../../core/util/index.ts';
import type { Settings } from '../settings/index.ts';
import { acknowledgeWildcard, removalPolicyOf } from '../shared/index.ts';

/**
 * The bucket's ARN as cdk-nag writes it in the other stack, after the name of this one. It contains the bucket's logical
 * id, which must not change.
 */
const BUCKET_ARN_EXPORT = 'ExportsOutputFnGetAttFirmwareBucket59E574FAArn70433906';

/** The bucket of uploads and released images: private, TLS only, versioned, with its events on EventBridge. */
export class FirmwareStore extends Construct {
  readonly bucket: Bucket;
  private readonly idleSweepMinutes: number;

  constructor(scope: Construct, id: string, { settings }: { readonly settings: Settings }) {
    super(scope, id);
    this.idleSweepMinutes = settings.idleSweepMinutes;
    this.bucket = new Bucket(this, 'Bucket', {
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      encryption: BucketEncryption.S3_MANAGED,
      enforceSSL: true,
      versioned: true,
      // The idle marker is the only object that is overwritten.
      lifecycleRules: [{ prefix: IDLE_MARKER_KEY, noncurrentVersionExpiration: Duration.days(1) }],
      removalPolicy: removalPolicyOf(settings),
    });
    this.denyOldSignatures();
    // The L2's `eventBridgeEnabled` adds a custom resource with a function; setting the property needs neither.
    const resource = this.bucket.node.defaultChild as CfnBucket;
    resource.notificationConfiguration = { eventBridgeConfiguration: { eventBridgeEnabled: true } };
    Validations.of(this.bucket).acknowledge({
      id: 'AwsSolutions-S1',
      reason: 'Who was given which image is in ota_events; access logs would hold the signatures of presigned URLs.',
    });
  }

  /** Lets a function presign and read released images. */
  grantReadReleases(fn: LambdaFunction): void {
    this.grant(
      fn,
      ['s3:GetObject'],
      `${RELEASES_PREFIX}*`,
      'Releases are named by their content; any may be asked for.',
    );
  }

  /** Lets a function read the version of an upload that an event names, and write everything under releases/. */
  grantRegister(fn: LambdaFunction): void {
    this.grant(fn, ['s3:GetObjectVersion'], `${UPLOADS_PREFIX}*`, 'People name uploads by version and model.');
    this.grant(fn, ['s3:PutObject'], `${RELEASES_PREFIX}*`, 'Releases are named by their content.');
    // The idle marker is under releases/ too; a new release ends idle mode, and the marker keeps when that began.
    fn.addToRolePolicy(
      new PolicyStatement({ actions: ['s3:GetObject'], resources: [this.bucket.arnForObjects(IDLE_MARKER_KEY)] }),
    );
    this.setIdleSweep(fn);
  }

  /** Lets a function find and read signatures beside uploads. */
  grantSignatures(fn: LambdaFunction): void {
    this.grant(fn, ['s3:GetObject'], `${UPLOADS_PREFIX}*`, 'A signature lies beside its upload.');
    this.grantList(fn);
  }

  /** Lets a function presign uploads, and see whether one exists. */
  grantUpload(fn: LambdaFunction): void {
    this.grant(
      fn,
      ['s3:GetObject', 's3:PutObject'],
      `${UPLOADS_PREFIX}*`,
      'Operators name uploads by version and model.',
    );
    this.grantList(fn);
  }

  /** Lets a function read the idle marker, and begin and end idle mode. */
  grantIdleMarker(fn: LambdaFunction): void {
    fn.addToRolePolicy(
      new PolicyStatement({
        actions: ['s3:GetObject', 's3:PutObject'],
        resources: [this.bucket.arnForObjects(IDLE_MARKER_KEY)],
      }),
    );
    fn.addEnvironment(ENV.firmwareBucket, this.bucket.bucketName);
    this.setIdleSweep(fn);
  }

  private setIdleSweep(fn: LambdaFunction): void {
    fn.addEnvironment(ENV.idleSweepMinutes, String(this.idleSweepMinutes));
  }

  /**
   * Limits every presigned URL, whoever made it. In milliseconds; a request that is signed in its header is minutes
   * old.
   */
  private denyOldSignatures(): void {
    this.bucket.addToResourcePolicy(
      new PolicyStatement({
        effect: Effect.DENY,
        principals: [new AnyPrincipal()],
        actions: ['s3:*'],
        resources: [this.bucket.arnForObjects('*')],
        conditions: { NumericGreaterThan: { 's3:signatureAge': PRESIGNED_SECONDS * 1000 } },
      }),
    );
  }

  /** S3 answers 403 instead of 404 for a missing object if the caller may not list the bucket. */
  private grantList(fn: LambdaFunction): void {
    fn.addToRolePolicy(new PolicyStatement({ actions: ['s3:ListBucket'], resources: [this.bucket.bucketArn] }));
  }

  private grant(fn: LambdaFunction, actions: string[], keys: string, reason: string): void {
    fn.addToRolePolicy(new PolicyStatement({ actions, resources: [this.bucket.arnForObjects(keys)] }));
    if (fn.role !== undefined)
      acknowledgeWildcard(fn.role, `${Stack.of(this).stackName}:${BUCKET_ARN_EXPORT}/${keys}`, reason);
    fn.addEnvironment(ENV.firmwareBucket, this.bucket.bucketName);
  }
}
