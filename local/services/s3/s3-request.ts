import type { Answer, AwsRequest } from '../../kernel/index.ts';
import { ACCOUNT, type XmlContent, xmlElement } from '../../kernel/index.ts';
import type { ObjectCreated, S3Store } from './s3-store.ts';

/** One S3 request with path-style addressing. */
export interface S3Request {
  readonly request: AwsRequest;
  readonly store: S3Store;
  readonly bucket: string;
  /** Empty if the request is about the bucket. */
  readonly key: string;
  /**
   * @throws AwsError `AccessDenied` unless the caller may perform `s3:<action>` on the resource, by default the object
   */
  authorize(action: string, resource?: string): void;
}

/** The object that a request writes, and who sends it. Every identity is of the one local account. */
export const writtenBy = ({ bucket, key, request }: S3Request, reason: ObjectCreated['reason']) => ({
  ...{ bucket, key, reason },
  ...{ requester: ACCOUNT, sourceIp: request.sourceIp },
});

export const bucketArn = (bucket: string) => `arn:aws:s3:::${bucket}`;

export function xmlAnswer(name: string, content: XmlContent, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status: 200, headers: { 'content-type': 'application/xml', ...headers }, body: xmlElement(name, content) };
}
