import type { Answer, AwsRequest } from '../../kernel/index.ts';
import { type XmlContent, xmlElement } from '../../kernel/index.ts';
import type { S3Store } from './s3-store.ts';

/** One S3 request, addressed path-style. */
export interface S3Request {
  readonly request: AwsRequest;
  readonly store: S3Store;
  readonly bucket: string;
  /** Empty when the bucket itself is meant. */
  readonly key: string;
  /** @throws AwsError `AccessDenied` unless the caller may do `s3:<action>` on the object, or on what is named */
  authorize(action: string, resource?: string): void;
}

export const bucketArn = (bucket: string) => `arn:aws:s3:::${bucket}`;

export function xmlAnswer(name: string, content: XmlContent, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status: 200, headers: { 'content-type': 'application/xml', ...headers }, body: xmlElement(name, content) };
}
