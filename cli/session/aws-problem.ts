import type { Place } from './target.ts';

type Deployment = Extract<Place, { kind: 'aws' }>;

/** What kept a call from AWS, as one sentence that says what to do. */
export function describeAwsProblem(error: Error, { profile, region, stack }: Deployment): string {
  const { name, message } = error;
  const { code, hostname } = (error.cause ?? error) as NodeJS.ErrnoException & { readonly hostname?: string };
  const withProfile = profile === undefined ? '' : ` --profile ${profile}`;
  if (/does not exist/.test(message)) {
    return `there is no stack ${stack} in this account and region: deploy it with npm run deploy, or name it with --stack and --region`;
  }
  if (/region is missing/i.test(message)) return 'no AWS region is set: use --region, AWS_REGION or a profile with one';
  if (name === 'CredentialsProviderError' || name === 'TokenProviderError') {
    if (/\bsso\b|token is expired/i.test(message)) {
      return `the sign-in to AWS has ended or never began: aws sso login${withProfile} (${message})`;
    }
    return profile === undefined
      ? `no AWS credentials were found: use --profile, or sign in (${message})`
      : `the profile ${profile} gives no AWS credentials: aws configure list-profiles names those there are (${message})`;
  }
  if (/^ExpiredToken|^RequestExpired/.test(name)) {
    return `the AWS credentials have expired: sign in again, with an SSO profile by aws sso login${withProfile} (${message})`;
  }
  if (
    /^(InvalidClientTokenId|UnrecognizedClient|InvalidAccessKeyId|SignatureDoesNotMatch|InvalidSignature)/.test(name)
  ) {
    return `AWS does not accept the credentials: check the keys and the clock of this machine (${message})`;
  }
  if (/AccessDenied|UnauthorizedOperation/.test(name)) return `your identity may not do this (${message})`;
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return `${hostname ?? 'AWS'} cannot be found: is ${region ?? 'the region'} a region of AWS, and this machine online?`;
  }
  return `AWS answered: ${message}`;
}
