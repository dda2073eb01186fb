import { connect } from 'node:tls';

const TIMEOUT_MS = 5_000;

/**
 * Completes a TLS handshake without a client certificate, which is enough to see the server's own.
 * @param ca the authority to trust, PEM; default: those that Node trusts
 * @throws Error when the server does not answer, or its certificate is not trusted
 */
export function checkTlsHandshake(host: string, port: number, ca?: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host,
      port,
      servername: /^[\d.]+$/.test(host) ? '' : host,
      ...(ca !== undefined && { ca }),
    });
    const end = (error?: Error) => {
      socket.destroy();
      if (error === undefined) resolve();
      else reject(new Error(`${host}:${port}: ${error.message}`));
    };
    socket.setTimeout(TIMEOUT_MS, () => end(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)));
    socket.once('secureConnect', () => end()).once('error', end);
  });
}
