import type { Check } from './check.ts';
import { checkTlsHandshake } from './tls-handshake.ts';

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/**
 * Compares the chains of the servers that devices connect to with the roots that `device add` gives to devices.
 * @param roots PEM
 */
export async function checkRoots(endpoints: readonly Endpoint[], roots: string): Promise<Check> {
  const check = 'roots of devices';
  const problems = await Promise.all(
    endpoints.map(({ host, port }) =>
      checkTlsHandshake(host, port, roots).then(
        () => [],
        (error: Error) => [error.message],
      ),
    ),
  );
  const failed = problems.flat();
  if (failed.length > 0) {
    const detail = `${failed.join('; ')}. A device that trusts only the roots of device add cannot connect there: add the root of this chain to its ca.pem before it needs the server`;
    return { check, outcome: 'fail', detail };
  }
  const names = endpoints.map(({ host }) => host).join(', ');
  return { check, outcome: 'pass', detail: `the chains of ${names} end at a root that device add gives to devices` };
}
