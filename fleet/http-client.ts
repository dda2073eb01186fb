import http, { type ClientRequest } from 'node:http';
import https from 'node:https';

/**
 * The HTTP client of a firmware. `arduino` (HTTPClient of arduino-esp32) keeps the connection across a redirect to the
 * same host name, whatever the port. `esp-idf` (esp_http_client) connects again, but keeps the Host header.
 */
export type HttpClientKind = 'arduino' | 'esp-idf';

const USER_AGENTS = { arduino: 'ESP32HTTPClient', 'esp-idf': 'ESP32 HTTP Client/1.0' };
const ONE_CONNECTION = { keepAlive: true, maxSockets: 1 };

class AgentByHostName extends http.Agent {
  override getName(options?: http.ClientRequestArgs): string {
    return String(options?.host);
  }
}

class TlsAgentByHostName extends https.Agent {
  override getName(options?: https.RequestOptions): string {
    return String(options?.host);
  }
}

/** The requests of one download. */
export class DeviceHttpClient {
  readonly #kind: HttpClientKind;
  readonly #imageCa: string | undefined;
  readonly #agents = [new AgentByHostName(ONE_CONNECTION), new TlsAgentByHostName(ONE_CONNECTION)] as const;
  #first: URL | undefined;

  /** @param options `imageCa`: PEM of the CA for https; without it servers are not verified */
  constructor({
    httpClient = 'arduino',
    imageCa,
  }: { httpClient?: HttpClientKind | undefined; imageCa?: string | undefined }) {
    this.#kind = httpClient;
    this.#imageCa = imageCa;
  }

  /** A GET request that is not yet sent. */
  open(url: URL, signal: AbortSignal): ClientRequest {
    this.#first ??= url;
    const keepsHost = this.#kind === 'esp-idf' && url.hostname === this.#first.hostname;
    const headers = { 'user-agent': USER_AGENTS[this.#kind], host: keepsHost ? this.#first.host : url.host };
    const [plain, tls] = this.#kind === 'arduino' ? this.#agents : [false as const, false as const];
    if (url.protocol === 'http:') return http.request(url, { signal, headers, agent: plain });
    const trust = this.#imageCa === undefined ? { rejectUnauthorized: false } : { ca: this.#imageCa };
    return https.request(url, { signal, headers, agent: tls, ...trust, maxVersion: 'TLSv1.2' });
  }

  /** Closes the connection. */
  close(): void {
    for (const agent of this.#agents) agent.destroy();
  }
}
