import type { Audit, Grant } from '../../local/kernel/index.ts';

/**
 * The role that AWS IoT provisions devices with; `test/lib/provisioning/provisioning.system.test.ts` tests its grants.
 */
const PROVISIONING = 'ProvisioningRole ';

/** True for grants that only AWS uses: logs and traces of functions, and the provisioning of devices. */
export const isDoneByAws = (text: string): boolean =>
  text.startsWith(PROVISIONING) ||
  / (logs:CreateLogStream|logs:PutLogEvents|xray:PutTraceSegments|xray:PutTelemetryRecords) /.test(text);

/**
 * True for calls that must have a grant. Many tests check that devices are refused, and S3 itself checks s3:ListBucket
 * before it reports a missing object.
 */
const isCall = ({ principal, action }: Grant) => principal !== 'the device policy' && action !== 's3:ListBucket';

/** Records which grants of the templates were used, and which calls of functions and services had no grant. */
export class GrantRecorder implements Audit {
  readonly #isUsed = new Map<string, boolean>();
  readonly #refused = new Set<string>();
  readonly #without: string | undefined;

  /** @param without the text of a grant that is disabled */
  constructor(without?: string) {
    this.#without = without;
  }

  grant(grant: Grant): boolean {
    const text = textOf(grant);
    if (!this.#isUsed.has(text)) this.#isUsed.set(text, false);
    return text !== this.#without;
  }

  evaluated(call: Grant, allowed: boolean, by: readonly Grant[]): void {
    if (allowed) for (const grant of by) this.#isUsed.set(textOf(grant), true);
    else if (isCall(call)) this.#refused.add(textOf(call));
  }

  /** All grants of roles and devices, such as `DispatchRole iot:SendDirectMessage client/*`. */
  get all(): string[] {
    return [...this.#isUsed.keys()].sort();
  }

  /** Grants that no call used, except those that only AWS uses. */
  get unused(): string[] {
    return this.all.filter((text) => !this.#isUsed.get(text) && !isDoneByAws(text));
  }

  /** Calls that no grant allowed. */
  get refused(): string[] {
    return [...this.#refused];
  }

  /** @throws Error that lists the refused calls of functions and services */
  expectNoneRefused(): void {
    if (this.#refused.size === 0) return;
    throw new Error(`calls outside the grants of lib/: ${this.refused.join('; ')}`);
  }
}

/**
 * The text of a grant with its conditions, without account, region, the hashes of logical ids, and the random end of a
 * secret's name.
 */
function textOf({ principal, action, resource, conditions = {} }: Grant): string {
  const name = resource.replace(/^arn:aws:[a-z0-9-]+:[a-z0-9-]*:\d*:/, '').replace(/^(secret:.*)-\w{6}$/, '$1');
  const limits = Object.entries(conditions).map(([key, patterns]) => `if ${key} is like ${patterns.join(' or ')}`);
  return [principal, action, name, ...limits]
    .map((text) => text.replaceAll(/(?<=[a-z])[0-9A-F]{8}(?=$|[/:*-])/gi, ''))
    .join(' ');
}
