import type { Answer, AwsRequest, AwsService } from '../../local/kernel/index.ts';

const MINUTE = 60_000;

interface Certificate {
  status: 'ACTIVE' | 'INACTIVE' | 'REVOKED';
  policies: Set<string>;
  things: Set<string>;
}

/**
 * The registry of AWS IoT with its refusals (AWS IoT API reference): a certificate is deleted if it is not active, has
 * no thing and, unless forced, no policy; a thing if it has no principal; a policy if it has one version, is attached nowhere, and was
 * detached some minutes ago; a thing type if it was deprecated five minutes ago and no thing has it.
 */
export class FakeRegistry implements AwsService {
  now = 0;
  readonly certificates = new Map<string, Certificate>();
  readonly things = new Map<string, string | undefined>();
  /** Versions of each policy, the default one last. */
  readonly policies = new Map<string, string[]>();
  readonly groups = new Set<string>();
  /** When each type was deprecated. */
  readonly types = new Map<string, number | undefined>();
  /** When each policy lost a target. */
  readonly #freedAt = new Map<string, number>();
  /** Deletions and refusals, in their order. */
  readonly log: string[] = [];

  addCertificate(id: string, policies: string[], things: string[], status: Certificate['status'] = 'ACTIVE'): void {
    const certificateId = id.repeat(64).slice(0, 64);
    this.certificates.set(certificateId, { status, policies: new Set(policies), things: new Set(things) });
  }

  async handle(request: AwsRequest): Promise<Answer> {
    const body = Buffer.concat(await request.body.toArray()).toString();
    const path = decodeURIComponent(request.path);
    const answer = this.#answer(`${request.method} ${path}`, request, body === '' ? {} : JSON.parse(body));
    if ('refusal' in answer) {
      this.log.push(`${answer.refusal}: ${request.method} ${path}`);
      const status = { ResourceNotFoundException: 404, DeleteConflictException: 409, CertificateStateException: 406 };
      const headers = { 'content-type': 'application/json', 'x-amzn-errortype': String(answer.refusal) };
      const code = status[answer.refusal as keyof typeof status] ?? 400;
      return { status: code, headers, body: JSON.stringify({ message: answer.refusal }) };
    }
    return { status: 200, headers: { 'content-type': 'application/json' }, body: JSON.stringify(answer) };
  }

  #answer(call: string, { query, headers }: AwsRequest, input: { target?: string }): object {
    const on = (pattern: RegExp) => pattern.exec(call)?.slice(1);
    const principal = this.#certificate(headers['x-amzn-principal']);
    let found: string[] | undefined;
    if (call === 'GET /things') return this.#listThings(query.get('thingTypeName'));
    if (call === 'GET /principals/things') return { things: [...(principal?.things ?? [])] };
    found = on(/^POST \/policy-targets\/(.+)$/);
    if (found) return this.#targetsOf(found[0] ?? '');
    found = on(/^POST \/attached-policies\/(.+)$/);
    if (found)
      return { policies: [...(this.#certificate(found[0])?.policies ?? [])].map((policyName) => ({ policyName })) };
    found = on(/^GET \/things\/(.+)\/principals$/);
    if (found) return { principals: this.#principalsOf(found[0] ?? '') };
    found = on(/^DELETE \/things\/(.+)\/principals$/);
    if (found) return principal?.things.delete(found[0] ?? '') ? {} : { refusal: 'ResourceNotFoundException' };
    found = on(/^POST \/target-policies\/(.+)$/);
    if (found) return this.#detach(found[0] ?? '', this.#certificate(input.target));
    found = on(/^GET \/certificates\/(.+)$/);
    if (found) return { certificateDescription: { status: this.certificates.get(found[0] ?? '')?.status } };
    found = on(/^PUT \/certificates\/(.+)$/);
    if (found) return this.#setStatus(found[0] ?? '', query.get('newStatus') as Certificate['status']);
    found = on(/^GET \/policies\/(.+)\/version$/);
    if (found) return this.#versionsOf(found[0] ?? '');
    found = on(/^POST \/thing-types\/(.+)\/deprecate$/);
    if (found) return this.#deprecate(found[0] ?? '');
    found = on(/^DELETE (\/.+)$/);
    if (found) return this.#delete(found[0] ?? '', query.get('forceDelete') === 'true');
    throw new Error(`not imitated: ${call}`);
  }

  #certificate = (arn: string | undefined) => this.certificates.get(arn?.split('/').at(-1) ?? '');
  #arn = (id: string) => `arn:aws:iot:eu-west-1:111122223333:cert/${id}`;

  #listThings(type: string | null): object {
    const names = [...this.things].filter(([, of]) => of === type).map(([thingName]) => ({ thingName }));
    return { things: names };
  }

  #having = (kind: 'policies' | 'things', name: string) =>
    [...this.certificates].filter(([, certificate]) => certificate[kind].has(name)).map(([id]) => this.#arn(id));
  #principalsOf = (thing: string) => this.#having('things', thing);

  #targetsOf(policy: string): object {
    if (!this.policies.has(policy)) return { refusal: 'ResourceNotFoundException' };
    return { targets: this.#having('policies', policy) };
  }

  #detach(policy: string, certificate: Certificate | undefined): object {
    certificate?.policies.delete(policy);
    this.#freedAt.set(policy, this.now);
    return {};
  }

  #setStatus(id: string, status: Certificate['status']): object {
    const certificate = this.certificates.get(id);
    if (certificate === undefined) return { refusal: 'ResourceNotFoundException' };
    if (certificate.status === 'REVOKED') return { refusal: 'CertificateStateException' };
    certificate.status = status;
    return {};
  }

  #versionsOf(policy: string): object {
    const versions = this.policies.get(policy);
    if (versions === undefined) return { refusal: 'ResourceNotFoundException' };
    const isDefault = (versionId: string) => versionId === versions.at(-1);
    return { policyVersions: versions.map((versionId) => ({ versionId, isDefaultVersion: isDefault(versionId) })) };
  }

  #deprecate(type: string): object {
    if (!this.types.has(type)) return { refusal: 'ResourceNotFoundException' };
    this.types.set(type, this.types.get(type) ?? this.now);
    return {};
  }

  #delete(path: string, isForced: boolean): object {
    const [, kind = '', name = '', , version] = path.split('/');
    const refusal = this.#refusalOf(kind, name, version, isForced);
    if (refusal !== undefined) return { refusal };
    if (version !== undefined) this.policies.set(name, this.policies.get(name)?.filter((id) => id !== version) ?? []);
    else if (kind === 'certificates') {
      for (const policy of this.certificates.get(name)?.policies ?? []) this.#freedAt.set(policy, this.now);
      this.certificates.delete(name);
    } else if (kind === 'things') this.things.delete(name);
    else if (kind === 'policies') this.policies.delete(name);
    else if (kind === 'thing-groups') this.groups.delete(name);
    else this.types.delete(name);
    this.log.push(`deleted ${path}`);
    return {};
  }

  #refusalOf(kind: string, name: string, version: string | undefined, isForced: boolean): string | undefined {
    if (kind === 'things') return this.#principalsOf(name).length > 0 ? 'InvalidRequestException' : undefined;
    if (kind === 'thing-groups') return undefined;
    if (kind === 'thing-types') {
      if (!this.types.has(name)) return 'ResourceNotFoundException';
      const since = this.types.get(name);
      const isUsed = [...this.things.values()].includes(name);
      const isDue = since !== undefined && this.now - since >= 5 * MINUTE;
      return isUsed || !isDue ? 'InvalidRequestException' : undefined;
    }
    if (kind === 'policies') {
      const versions = this.policies.get(name);
      if (versions === undefined) return 'ResourceNotFoundException';
      if (version !== undefined) return versions.at(-1) === version ? 'DeleteConflictException' : undefined;
      // "It can take up to five minutes after a policy is detached before it's ready to be deleted."
      const isSettled = this.now - (this.#freedAt.get(name) ?? Number.NEGATIVE_INFINITY) >= 2 * MINUTE;
      const isAttached = this.#having('policies', name).length > 0;
      return isAttached || !isSettled || versions.length > 1 ? 'DeleteConflictException' : undefined;
    }
    const certificate = this.certificates.get(name);
    if (certificate === undefined) return 'ResourceNotFoundException';
    if (certificate.status === 'ACTIVE') return 'CertificateStateException';
    const isFree = (isForced || certificate.policies.size === 0) && certificate.things.size === 0;
    return isFree ? undefined : 'DeleteConflictException';
  }
}
