import { signedFetch } from '../../../api/signed-fetch.ts';
import type { Target } from '../../session/index.ts';

/** An answer of AWS that is an error. Its name is AWS's code, as in the SDK. */
export class AwsAnswer extends Error {
  constructor(code: string, message: string) {
    super(message);
    this.name = code;
  }
}

/** Services with one endpoint for all regions (SDK endpoint rules). */
const GLOBAL: Readonly<Record<string, { readonly host: string; readonly region: string }>> = {
  iam: { host: 'iam.amazonaws.com', region: 'us-east-1' },
  freetier: { host: 'freetier.us-east-1.api.aws', region: 'us-east-1' },
};

const TIMEOUT_MS = 20_000;

type Caller = Pick<Target, 'region' | 'credentials'>;

/**
 * Calls of services whose clients this package does not have. An endpoint of the environment replaces that of AWS, as in
 * the SDK: `AWS_ENDPOINT_URL_IAM`, or `AWS_ENDPOINT_URL` for all.
 */
export class AwsCalls {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /** A call in the query protocol. @returns the XML of the answer @throws AwsAnswer */
  async query(service: string, version: string, action: string, parameters: Record<string, string> = {}) {
    const body = new URLSearchParams({ Action: action, Version: version, ...parameters }).toString();
    const headers = { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' };
    const { ok, text, errorType } = await this.#send(service, '/', { method: 'POST', headers, body });
    if (ok) return text;
    throw new AwsAnswer(elementOf(text, 'Code') ?? errorType ?? 'UnknownError', elementOf(text, 'Message') ?? text);
  }

  /** A call in the JSON protocol. @param target such as `AmazonSSM.GetParameter` @throws AwsAnswer */
  json(service: string, version: '1.0' | '1.1', target: string, input: object): Promise<unknown> {
    const headers = { 'content-type': `application/x-amz-json-${version}`, 'x-amz-target': target };
    return this.#jsonAnswer(service, '/', { method: 'POST', headers, body: JSON.stringify(input) });
  }

  /** A GET of a service with a REST protocol. @throws AwsAnswer */
  get(service: string, path: string): Promise<unknown> {
    return this.#jsonAnswer(service, path, { method: 'GET', headers: {} });
  }

  async #jsonAnswer(service: string, path: string, init: Parameters<ReturnType<typeof signedFetch>>[1]) {
    const { ok, text, errorType } = await this.#send(service, path, init);
    const answer = parse(text);
    if (ok && answer !== undefined) return answer;
    const { __type: type, message, Message = message } = (answer ?? {}) as Record<string, string | undefined>;
    // `namespace#Code`, or `Code:address`.
    const code = (errorType ?? type ?? 'UnknownError').split('#').at(-1)?.split(':')[0] ?? '';
    throw new AwsAnswer(code, Message ?? text.slice(0, 200));
  }

  async #send(service: string, path: string, init: Parameters<ReturnType<typeof signedFetch>>[1]) {
    const { host, region } = GLOBAL[service] ?? {
      host: `${service}.${this.#caller.region}.amazonaws.com`,
      region: this.#caller.region,
    };
    const { env } = process;
    const base = env[`AWS_ENDPOINT_URL_${service.toUpperCase()}`] ?? env.AWS_ENDPOINT_URL ?? `https://${host}`;
    const signed = signedFetch(region, this.#caller.credentials, undefined, service);
    const answered = signed(new URL(path, base).href, init).then(async (response) => ({
      ok: response.ok,
      text: await response.text(),
      errorType: response.headers.get('x-amzn-errortype') ?? undefined,
    }));
    return withinTime(answered, base);
  }
}

/** The text of the first element with a name; the answers that are read have no text of users in them. */
export function elementOf(xml: string, name: string): string | undefined {
  return new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1];
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function withinTime<T>(work: Promise<T>, url: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = new Error(`${url} has not answered within ${TIMEOUT_MS / 1000} s`);
    timer = setTimeout(() => reject(error), TIMEOUT_MS);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
