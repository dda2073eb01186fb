import type { Problem } from './common.ts';
import type {
  AllowedDevice,
  ChangedDevice,
  ChangedGroup,
  Device,
  DeviceDetail,
  ExpectedDevice,
  Explanation,
  Group,
  Revocation,
  TimelineEntry,
} from './devices.ts';
import type { Hold, HoldDetail, HoldPreview, NewHold } from './holds.ts';
import type { IssueDetail, IssuePreview, KnownIssue, NewIssue } from './known-issues.ts';
import type { DeviceChange, Reach } from './reach.ts';
import type { Recovery, RecoveryPreview } from './recovery.ts';
import type {
  NewUpload,
  RejectedUpload,
  Release,
  ReleaseDetail,
  ReleaseHealth,
  StartedUpload,
  UploadOutcome,
} from './releases.ts';
import type {
  Decision,
  DeviceUpdate,
  Preview,
  PreviewDraft,
  Progress,
  Rollout,
  RolloutAction,
  RolloutChange,
  RolloutDraft,
  RolloutHealth,
  RolloutSummary,
} from './rollouts.ts';
import type { DeadLetterQueue, Fleet, RejectedMessage, ServiceInfo, Tick, VersionHistory } from './service.ts';

export interface Page<T> {
  readonly items: readonly T[];
  readonly next_cursor: string | null;
}

/** The service refused a call; the message is its detail. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.errors?.map(({ field, message }) => `${field}: ${message}`).join('; ') || problem.detail);
    this.problem = problem;
  }
}

type Query = Readonly<Record<string, string | number | boolean | undefined>>;
/** Like `fetch`, and signs requests if the service requires it. The body is always text, so that it can be signed. */
export type Fetch = (
  url: string,
  init: { readonly method: string; readonly headers: Record<string, string>; readonly body?: string },
) => Promise<Response>;

/**
 * A segment of a path. `:` and `+` stay as they are, because the API refuses percent-encoded paths; so it refuses a name
 * with other special characters, and says why.
 */
const segment = (text: string) => encodeURIComponent(text).replaceAll('%3A', ':').replaceAll('%2B', '+');

/** Models are stored in lower case, and a path has one spelling. */
const modelSegment = (model: string) => segment(model.toLowerCase());

/** The operator API, one method per route; docs/api.md documents the responses. Also runs in a browser. */
export class ApiClient {
  readonly #baseUrl: string;
  readonly #fetch: Fetch;

  /** @param baseUrl without a trailing slash */
  constructor(baseUrl: string, fetch: Fetch) {
    this.#baseUrl = baseUrl;
    this.#fetch = fetch;
  }

  info = () => this.#get<ServiceInfo>('/v1/info');
  fleet = () => this.#get<Fleet>('/v1/fleet');
  fleetHistory = (hours: number) => this.#get<VersionHistory>('/v1/fleet/history', { hours });
  tick = () => this.#send<Tick>('POST', '/v1/tick');
  events = (query: { after?: number; limit?: number } = {}) => this.#get<{ items: Decision[] }>('/v1/events', query);
  rejectedMessages = (query: Query = {}) => this.#get<Page<RejectedMessage>>('/v1/rejected-messages', query);
  deadLetters = () => this.#get<{ items: DeadLetterQueue[] }>('/v1/dead-letters');
  redriveDeadLetters = (queue: string) => this.#send<DeadLetterQueue>('POST', '/v1/dead-letters/redrive', { queue });

  devices = (query: Query = {}) => this.#get<Page<Device>>('/v1/devices', query);
  device = (id: string) => this.#get<DeviceDetail>(`/v1/devices/${segment(id)}`);
  deviceTimeline = (id: string, query: Query = {}) =>
    this.#get<{ items: TimelineEntry[] }>(`/v1/devices/${segment(id)}/timeline`, query);
  explain = (id: string, query: { rollout?: string; version?: string } = {}) =>
    this.#get<Explanation>(`/v1/devices/${segment(id)}/explain`, query);
  setAttributes = (id: string, metadata: Record<string, string | number | boolean | null>) =>
    this.#send<ChangedDevice>('PATCH', `/v1/devices/${segment(id)}`, { metadata });
  setGroups = (id: string, groups: readonly string[]) =>
    this.#send<ChangedDevice>('PUT', `/v1/devices/${segment(id)}/groups`, { groups });
  /** The rollouts that would newly reach devices if these were changed; nothing is changed. */
  previewChange = (change: DeviceChange) =>
    this.#send<{ reached_by: Reach[] }>('POST', '/v1/devices/preview-change', change);
  updateDevice = (id: string, body: { firmware_version: string; allow_downgrade?: boolean }) =>
    this.#send<Rollout>('POST', `/v1/devices/${segment(id)}/update`, body);
  revokeDevice = (id: string, reason: string) =>
    this.#send<Revocation>('POST', `/v1/devices/${segment(id)}/revoke`, { reason });
  reinstateDevice = (id: string, reason: string) =>
    this.#send<ChangedDevice>('POST', `/v1/devices/${segment(id)}/reinstate`, { reason });
  acceptIdentity = (id: string, reason: string, model?: string) =>
    this.#send<ChangedDevice>('POST', `/v1/devices/${segment(id)}/accept-identity`, {
      reason,
      ...(model === undefined ? {} : { device_model: model }),
    });
  allowedDevices = (query: Query = {}) => this.#get<Page<AllowedDevice>>('/v1/allowed-devices', query);
  changeAllowedDevices = (change: { add?: readonly (string | ExpectedDevice)[]; remove?: readonly string[] }) =>
    this.#send<{ added: number; removed: number }>('POST', '/v1/allowed-devices', change);
  groups = () => this.#get<{ items: Group[] }>('/v1/groups');
  changeGroup = (group: string, change: { add?: readonly string[]; remove?: readonly string[] }) =>
    this.#send<ChangedGroup>('POST', '/v1/groups', { group_name: group, ...change });

  holds = (query: Query = {}) => this.#get<Page<Hold>>('/v1/holds', query);
  hold = (hold: string | number) => this.#get<HoldDetail>(`/v1/holds/${hold}`);
  /** The effect of a hold, in numbers. Without a device or a group: of the whole service. */
  previewHold = (target: Partial<Pick<NewHold, 'device_id' | 'group_name'>> = {}) =>
    this.#get<HoldPreview>('/v1/holds/preview', target);
  setHold = (hold: NewHold) => this.#send<Hold>('POST', '/v1/holds', hold);
  removeHold = (hold: string | number, reason: string) =>
    this.#send<HoldDetail>('POST', `/v1/holds/${hold}/remove`, { reason });

  issues = (query: Query = {}) => this.#get<Page<KnownIssue>>('/v1/issues', query);
  /** @param fixedIn the release that may fix it: what that would send */
  issue = (issue: string | number, fixedIn?: string) =>
    this.#get<IssueDetail>(`/v1/issues/${issue}`, { fixed_in: fixedIn });
  previewIssue = (issue: NewIssue) => this.#send<IssuePreview>('POST', '/v1/issues/preview', issue);
  addIssue = (issue: NewIssue) => this.#send<IssueDetail>('POST', '/v1/issues', issue);
  fixIssue = (issue: string | number, version: string) =>
    this.#send<IssueDetail>('POST', `/v1/issues/${issue}/fix`, { version });
  withdrawIssue = (issue: string | number, reason: string) =>
    this.#send<IssueDetail>('POST', `/v1/issues/${issue}/withdraw`, { reason });

  releases = (query: Query = {}) => this.#get<Page<Release>>('/v1/releases', query);
  release = (model: string, version: string) =>
    this.#get<ReleaseDetail>(`/v1/releases/${modelSegment(model)}/${segment(version)}`);
  releaseHealth = (model: string, version: string) =>
    this.#get<ReleaseHealth>(`/v1/releases/${modelSegment(model)}/${segment(version)}/health`);
  revokeRelease = (model: string, version: string, reason: string) =>
    this.#send<ReleaseDetail>('POST', `/v1/releases/${modelSegment(model)}/${segment(version)}/revoke`, { reason });
  startUpload = (body: NewUpload) => this.#send<StartedUpload>('POST', '/v1/uploads', body);
  uploadOutcome = (model: string, version: string, query: { since: string; sha256?: string }) =>
    this.#get<UploadOutcome>(`/v1/uploads/${modelSegment(model)}/${segment(version)}`, query);
  rejectedUploads = (query: Query = {}) => this.#get<Page<RejectedUpload>>('/v1/rejected-uploads', query);
  rescanUpload = (object_key: string) =>
    this.#send<{ object_key: string }>('POST', '/v1/uploads/rescan', { object_key });

  rollouts = (query: Query = {}) => this.#get<Page<RolloutSummary>>('/v1/rollouts', query);
  rollout = async (rollout: string | number) => this.#get<Rollout>(await this.#rolloutPath(rollout));
  previewRollout = (draft: PreviewDraft) => this.#send<Preview>('POST', '/v1/rollouts/preview', draft);
  /** Previews what a saved rollout would do now. */
  previewOf = async ({ rollout_id }: Pick<Rollout, 'rollout_id'>) =>
    this.#get<Preview>(`${await this.#rolloutPath(rollout_id)}/preview`);
  createRollout = (draft: RolloutDraft) => this.#send<Rollout>('POST', '/v1/rollouts', draft);
  /**
   * @param updatedAt `updated_at` of the rollout as it was read; the call is refused (412) if the rollout has changed
   * since
   */
  changeRollout = async (rollout: string | number, updatedAt: string, change: RolloutChange) =>
    this.#send<Rollout>('PATCH', await this.#rolloutPath(rollout), change, { 'if-match': `"${updatedAt}"` });
  /** @param updatedAt as in `changeRollout` */
  replaceDraft = async (rollout: string | number, updatedAt: string, draft: RolloutDraft) =>
    this.#send<Rollout>('PUT', await this.#rolloutPath(rollout), draft, { 'if-match': `"${updatedAt}"` });
  act = async (rollout: string | number, action: RolloutAction, reason: string) =>
    this.#send<Rollout>('POST', `${await this.#rolloutPath(rollout)}/${action}`, { reason });
  /** Approves or rejects the request that a rollout was read with. */
  decide = async (
    rollout: string | number,
    decision: 'approve' | 'reject',
    body: { request_id: number; reason: string },
  ) => this.#send<Rollout>('POST', `${await this.#rolloutPath(rollout)}/${decision}`, body);
  previewRecovery = async (rollout: string | number) =>
    this.#get<RecoveryPreview>(`${await this.#rolloutPath(rollout)}/recovery`);
  recover = async (rollout: string | number, reason: string) =>
    this.#send<Recovery>('POST', `${await this.#rolloutPath(rollout)}/recover`, { reason });
  progress = async (rollout: string | number) => this.#get<Progress>(`${await this.#rolloutPath(rollout)}/progress`);
  rolloutHealth = async (rollout: string | number) =>
    this.#get<RolloutHealth>(`${await this.#rolloutPath(rollout)}/health`);
  updates = async (rollout: string | number, query: Query = {}) =>
    this.#get<Page<DeviceUpdate>>(`${await this.#rolloutPath(rollout)}/updates`, query);
  decisions = async (rollout: string | number) =>
    this.#get<{ items: Decision[] }>(`${await this.#rolloutPath(rollout)}/decisions`);

  /** The path of a rollout. Paths have ids only, so a name is looked up first. */
  async #rolloutPath(rollout: string | number): Promise<string> {
    if (/^\d+$/.test(String(rollout))) return `/v1/rollouts/${rollout}`;
    const { items } = await this.rollouts({ name: rollout, limit: 1 });
    const [found] = items;
    if (found !== undefined) return `/v1/rollouts/${found.rollout_id}`;
    const detail = `There is no rollout ${rollout}.`;
    throw new ApiError({ type: 'urn:paku-ota:not-found', title: 'Not found', status: 404, detail });
  }

  #get<T>(path: string, query: Query = {}): Promise<T> {
    const pairs = Object.entries(query).flatMap(([key, value]) =>
      value === undefined ? [] : `${encodeURIComponent(key)}=${encodeURIComponent(value)}`,
    );
    return this.#call<T>('GET', pairs.length === 0 ? path : `${path}?${pairs.join('&')}`, {});
  }

  #send<T>(method: string, path: string, body: object = {}, headers: Record<string, string> = {}): Promise<T> {
    return this.#call<T>(method, path, {
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
  }

  async #call<T>(
    method: string,
    path: string,
    { headers = {}, body }: { headers?: Record<string, string>; body?: string },
  ): Promise<T> {
    const init = { method, headers: { accept: 'application/json', ...headers } };
    const response = await this.#fetch(this.#baseUrl + path, body === undefined ? init : { ...init, body });
    const text = await response.text();
    if (response.ok) return JSON.parse(text) as T;
    throw new ApiError(parseProblem(response.status, text));
  }
}

/** API Gateway's own errors have only a message. */
function parseProblem(status: number, text: string): Problem {
  const fallback = { type: 'about:blank', title: `HTTP ${status}`, status, detail: text.slice(0, 500) };
  try {
    const body = JSON.parse(text) as Partial<Problem> & { message?: string };
    return typeof body.detail === 'string' ? { ...fallback, ...body } : { ...fallback, detail: body.message ?? text };
  } catch {
    return fallback;
  }
}
