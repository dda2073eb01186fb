import type { Audit, Grant } from '../../local/kernel/index.ts';

/** The role of AWS IoT when it provisions a device; `test/lib/provisioning/provisioning.system.test.ts` has its grants one by one. */
const PROVISIONING = 'ProvisioningRole ';

/** Lambda writes logs and traces in a function's name, AWS IoT provisions devices, and nothing on this machine does. */
export const isDoneByAws = (text: string): boolean =>
  text.startsWith(PROVISIONING) ||
  / (logs:CreateLogStream|logs:PutLogEvents|xray:PutTraceSegments|xray:PutTelemetryRecords) /.test(text);

/**
 * Devices may ask for what they want; that they do not get it is what many tests are about. And whether somebody may list
 * a bucket is what S3 itself looks at, before it says that an object is not there.
 */
const isCall = ({ principal, action }: Grant) => principal !== 'the device policy' && action !== 's3:ListBucket';

/** Which grants of the templates were of use, and which calls of functions and services had none. */
export class GrantBook implements Audit {
  readonly #isUsed = new Map<string, boolean>();
  readonly #refused = new Set<string>();
  readonly #without: string | undefined;

  /** @param without the text of a grant that the policies are to judge without */
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

  /** Every grant of every role and of the devices: `DispatchRole iot:SendDirectMessage client/*`. */
  get all(): string[] {
    return [...this.#isUsed.keys()].sort();
  }

  /** Those that no call needed, without what AWS alone would use. */
  get unused(): string[] {
    return this.all.filter((text) => !this.#isUsed.get(text) && !isDoneByAws(text));
  }

  /** Calls that no grant allowed. */
  get refused(): string[] {
    return [...this.#refused];
  }

  /** @throws Error that names the calls of functions and services that were refused */
  expectNoneRefused(): void {
    if (this.#refused.size === 0) return;
    throw new Error(`calls outside the grants of lib/: ${this.refused.join('; ')}`);
  }
}

/** Without account, region, the hashes of CloudFormation's ids, and the random end of a secret's name. */
function textOf({ principal, action, resource }: Grant): string {
  const name = resource.replace(/^arn:aws:[a-z0-9-]+:[a-z0-9-]*:\d*:/, '').replace(/^(secret:.*)-\w{6}$/, '$1');
  return [principal, action, name].map((text) => text.replaceAll(/(?<=[a-z])[0-9A-F]{8}(?=$|[/:*-])/gi, '')).join(' ');
}
