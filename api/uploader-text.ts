import type { RejectedUpload } from './releases.ts';

type Provenance = Pick<RejectedUpload, 'requested_by' | 'put_by' | 'put_from'>;

/**
 * Who uploaded an object, and from where.
 * @param nameOf shortens an IAM ARN
 */
export function uploaderText(
  { requested_by: requester, put_by: account, put_from: address }: Provenance,
  nameOf: (arn: string) => string,
): string {
  const from = address === null ? '' : `, from ${address}`;
  if (requester !== null) return `${nameOf(requester)}${from}`;
  const by = account === null ? '' : `, by ${/^\d+$/.test(account) ? 'account ' : ''}${account}`;
  return `put into S3 directly${by}${from}`;
}
