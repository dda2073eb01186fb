/**
 * Compares a host with the certificate of a server as mbedTLS 2.28 does: with its DNS names only, also if the host is an
 * IP address.
 * @returns an error if no name matches
 */
export function checkDnsNames(
  host: string,
  { subjectaltname = '' }: { readonly subjectaltname?: string },
): Error | undefined {
  if (subjectaltname.split(', ').includes(`DNS:${host}`)) return undefined;
  return new Error(`the certificate is for ${subjectaltname || 'no name'}, expected DNS:${host}`);
}
