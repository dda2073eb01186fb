import type { Readable } from 'node:stream';
import type { Answer } from './http-server.ts';

/** Who signed a request: one of the template's roles, or the operator. */
export interface Identity {
  /** The role's logical id, or `operator`. */
  readonly name: string;
  readonly arn: string;
  /** Evaluates the identity's policies as IAM would: an explicit Deny wins, no match is a refusal. */
  allows(action: string, resource: string): boolean;
}

/** Names in lower case. */
export type Headers = Readonly<Record<string, string | undefined>>;

/** A request whose SigV4 signature was verified. */
export interface AwsRequest {
  readonly method: string;
  /** The path as it was sent, still percent-encoded. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Headers;
  /** The body, with `aws-chunked` framing already removed. Read it once. */
  readonly body: Readable;
  readonly identity: Identity;
}

/** One emulated AWS endpoint. It answers every request; an AwsError is an answer too, any other becomes a 500 and is logged. */
export interface AwsService {
  handle(request: AwsRequest): Promise<Answer>;
}

/** An answer that is an error, under the name AWS gives it; written as XML for S3, as JSON for the other services. */
export class AwsError extends Error {
  override readonly name = 'AwsError';
  readonly code: string;
  readonly status: number;
  /** Further elements of an S3 error document, such as `Region`. */
  readonly details: Readonly<Record<string, string>>;

  constructor(code: string, status: number, message: string, details: Readonly<Record<string, string>> = {}) {
    super(message);
    this.code = code;
    this.status = status;
    this.details = details;
  }
}

/**
 * @param code what the service calls it: `AccessDenied` in S3, `ForbiddenException` in IoT
 * @throws AwsError, in IAM's words, unless the identity may do this
 */
export function permit({ arn, allows }: Identity, action: string, resource: string, code = 'AccessDeniedException') {
  if (allows(action, resource)) return;
  throw new AwsError(code, 403, `User: ${arn} is not authorized to perform: ${action} on resource: ${resource}`);
}

/** @throws AwsError `InvalidURI` when this is not percent-encoded UTF-8 */
export function decodeUri(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new AwsError('InvalidURI', 400, `Couldn't parse the specified URI: '${text}' is not valid percent-encoding.`);
  }
}
