import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';

/** Who signed a request: one of the template's roles, or the operator. */
export interface Identity {
  /** The role's logical id, or `operator`. */
  readonly name: string;
  readonly arn: string;
  /** Evaluates the identity's policies as IAM would: an explicit Deny wins, no match is a refusal. */
  allows(action: string, resource: string): boolean;
}

/** A request whose SigV4 signature was verified. */
export interface AwsRequest {
  readonly method: string;
  /** The path as it was sent, still percent-encoded. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  /** The body, with `aws-chunked` framing already removed. Read it once. */
  readonly body: Readable;
  readonly identity: Identity;
}

export interface AwsResponse {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | Readable;
}

/** One emulated AWS endpoint. It answers every request; an exception becomes a 500 and is logged. */
export interface AwsService {
  handle(request: AwsRequest): Promise<AwsResponse>;
}
