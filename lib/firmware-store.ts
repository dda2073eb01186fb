import { Duration, RemovalPolicy, Validations } from 'aws-cdk-lib';
import { AnyPrincipal, Effect, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { BlockPublicAccess, Bucket, BucketEncryption, type CfnBucket } from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';
import { IDLE_MARKER_KEY, PRESIGNED_SECONDS, RELEASES_PREFIX, UPLOADS_PREFIX } from '../core/policy/index.ts';
import { ENV } from '../core/util/index.ts';
import { acknowledgeWildcard } from './acknowledge.ts';
import type { Settings } from './settings.ts';

/** How cdk-nag writes the bucket's ARN in the other stack; it changes only if the bucket's logical id does, and must not. */
const BUCKET_ARN_EXPORT = 'PakuOtaData:ExportsOutputFnGetAttFirmwareBucket59E574FAArn70433906';

/** The bucket of uploads and of released images: private, TLS only, versioned, with its events on EventBridge. */
export class FirmwareStore extends Construct {
  readonly bucket: Bucket;

  constructor(scope: Construct, id: string, { settings }: { readonly settings: Settings }) {
    super(scope, id);
    const retain = settings.dataRemovalPolicy === 'retain';
    this.bucket = new Bucket(this, 'Bucket', {
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      encryption: BucketEncryption.S3_MANAGED,
      enforceSSL: true,
      versioned: true,
      // The marker is the one object that is written over and over.
      lifecycleRules: [{ prefix: IDLE_MARKER_KEY, noncurrentVersionExpiration: Duration.days(1) }],
      removalPolicy: retain ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
    });
    this.refuseLongSignatures();
    // The L2's `eventBridgeEnabled` brings a custom resource with a function of its own; the property itself is enough.
    const resource = this.bucket.node.defaultChild as CfnBucket;
    resource.notificationConfiguration = { eventBridgeConfiguration: { eventBridgeEnabled: true } };
    Validations.of(this.bucket).acknowledge({
      id: 'AwsSolutions-S1',
      reason: 'Who was given which image is in ota_events; access logs would hold the signatures of presigned URLs.',
    });
  }

  /** Whoever signs a URL, and for however long: it ends with ours. In milliseconds; a header's signature is minutes old. */
  private refuseLongSignatures(): void {
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

  /** Lets a function presign and read released images. */
  grantReadReleases(fn: LambdaFunction): void {
    this.grant(
      fn,
      ['s3:GetObject'],
      `${RELEASES_PREFIX}*`,
      'Releases are named by their content; any may be asked for.',
    );
  }

  /** Lets a function read the very version of an upload that an event was about, and write releases. */
  grantRegister(fn: LambdaFunction): void {
    this.grant(fn, ['s3:GetObjectVersion'], `${UPLOADS_PREFIX}*`, 'People name uploads by version and model.');
    this.grant(fn, ['s3:PutObject'], `${RELEASES_PREFIX}*`, 'Releases are named by their content.');
  }

  /** Lets a function find uploads, and the signatures beside them. */
  grantSignatures(fn: LambdaFunction): void {
    this.grant(fn, ['s3:GetObject'], `${UPLOADS_PREFIX}*`, 'A signature lies beside its upload.');
    this.grantTellAbsent(fn);
  }

  /** Lets a function presign uploads, and look at one. */
  grantUpload(fn: LambdaFunction): void {
    this.grant(
      fn,
      ['s3:GetObject', 's3:PutObject'],
      `${UPLOADS_PREFIX}*`,
      'Operators name uploads by version and model.',
    );
    this.grantTellAbsent(fn);
  }

  /** Lets a function see whether the system rests, and wake it or have it rest. */
  grantRestMarker(fn: LambdaFunction): void {
    fn.addToRolePolicy(
      new PolicyStatement({
        actions: ['s3:GetObject', 's3:PutObject'],
        resources: [this.bucket.arnForObjects(IDLE_MARKER_KEY)],
      }),
    );
    fn.addEnvironment(ENV.firmwareBucket, this.bucket.bucketName);
  }

  /** Without it S3 answers 403 instead of 404 for what is not there. */
  private grantTellAbsent(fn: LambdaFunction): void {
    fn.addToRolePolicy(new PolicyStatement({ actions: ['s3:ListBucket'], resources: [this.bucket.bucketArn] }));
  }

  private grant(fn: LambdaFunction, actions: string[], keys: string, reason: string): void {
    fn.addToRolePolicy(new PolicyStatement({ actions, resources: [this.bucket.arnForObjects(keys)] }));
    if (fn.role !== undefined) acknowledgeWildcard(fn.role, `${BUCKET_ARN_EXPORT}/${keys}`, reason);
    fn.addEnvironment(ENV.firmwareBucket, this.bucket.bucketName);
  }
}
