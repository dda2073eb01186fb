/**
 * An answer that is an error, under the name AWS gives it. {@link startAwsServer} writes it in the dialect of the
 * service that was called: XML for S3, JSON for the others.
 */
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

/** What IAM says when no statement allows an action. `code` is `AccessDenied` in S3, `AccessDeniedException` elsewhere. */
export function accessDenied(arn: string, action: string, resource: string, code = 'AccessDeniedException'): AwsError {
  return new AwsError(code, 403, `User: ${arn} is not authorized to perform: ${action} on resource: ${resource}`);
}
