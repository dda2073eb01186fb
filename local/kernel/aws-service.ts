import type { Readable } from 'node:stream';
import type { Answer } from './http-server.ts';
import type { PolicyContext } from './iam-policy.ts';

/** The signer of a request: a role of the template, or the operator. */
export interface Identity {
  /** The role's logical id, or `operator`. */
  readonly name: string;
  readonly arn: string;
  /** Evaluates the identity's policies as IAM does: an explicit Deny wins, and no match means no. */
  allows(action: string, resource: string, context?: PolicyContext): boolean;
}

/** Headers by name in lower case. */
export type Headers = Readonly<Record<string, string | undefined>>;

/** A request whose SigV4 signature was verified. */
export interface AwsRequest {
  readonly method: string;
  /** The path as sent, percent-encoded. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Headers;
  /** The body without `aws-chunked` framing. It can be read once. */
  readonly body: Readable;
  readonly identity: Identity;
  /** IP address of the client. */
  readonly sourceIp: string;
}

/**
 * One emulated AWS service. An AwsError that it throws becomes its answer; any other error is logged and answered with
 * 500.
 */
export interface AwsService {
  handle(request: AwsRequest): Promise<Answer>;
}

/** An error answer with AWS's error code. It is sent as XML by S3 and as JSON by the other services. */
export class AwsError extends Error {
  override readonly name = 'AwsError';
  readonly code: string;
  readonly status: number;
  /** More elements of an S3 error document, such as `Region`. */
  readonly details: Readonly<Record<string, string>>;

  constructor(code: string, status: number, message: string, details: Readonly<Record<string, string>> = {}) {
    super(message);
    this.code = code;
    this.status = status;
    this.details = details;
  }
}

/**
 * Checks that an identity may perform an action on a resource.
 * @param code the service's error code: `AccessDenied` in S3, `ForbiddenException` in IoT
 * @throws AwsError with IAM's message if the identity may not
 */
export function authorize(
  { arn, allows }: Identity,
  action: string,
  resource: string,
  code = 'AccessDeniedException',
  context: PolicyContext = {},
) {
  if (allows(action, resource, context)) return;
  throw new AwsError(code, 403, `User: ${arn} is not authorized to perform: ${action} on resource: ${resource}`);
}

/** @throws AwsError `InvalidURI` if the text is not percent-encoded UTF-8 */
export function decodeUri(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new AwsError('InvalidURI', 400, `Couldn't parse the specified URI: '${text}' is not valid percent-encoding.`);
  }
}
