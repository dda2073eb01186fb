import * as z from 'zod';
import { anyJson, type RowOf, readInPages, type Sql, select } from '../db/index.ts';
import { boundedJson, hasIssue, type IssueFacts, type IssueState, parseTarget, type Target } from '../policy/index.ts';
import { type KnownIssue, toKnownIssue } from '../targeting/index.ts';

/** More would make each statement that assigns devices slower. */
export const MAX_ISSUES = 50;
/** A filter of this size names a hundred devices; a group has any number. */
export const MAX_ISSUE_FILTER_BYTES = 4 * 1024;
/** Leaves room for spaces. */
const READ_FILTER_BYTES = 8 * 1024;
const ISSUES_PER_PAGE = 100;

const issueRow = z.strictObject({
  issue_id: z.int(),
  device_model: z.string(),
  found_version: z.string(),
  title: z.string(),
  link: z.string().nullable(),
  /** As stored; a number, its length, if it is too long to be read. */
  device_filter: anyJson<unknown>(),
  created_at: z.date(),
  created_by: z.string().nullable(),
  fixed_version: z.string().nullable(),
  fixed_at: z.date().nullable(),
  fixed_by: z.string().nullable(),
  withdrawn_at: z.date().nullable(),
  withdrawn_by: z.string().nullable(),
  withdrawn_reason: z.string().nullable(),
});

/** A known issue as operators see it. */
export type IssueRow = RowOf<typeof issueRow>;

const ISSUE = `SELECT i.id AS issue_id, i.device_model, i.found_version, i.title, i.link,
       ${boundedJson('i.device_filter', READ_FILTER_BYTES)} AS device_filter, i.created_at, i.created_by,
       i.fixed_version, i.fixed_at, i.fixed_by, i.withdrawn_at, i.withdrawn_by, i.withdrawn_reason
     FROM known_issues AS i`;

/** Issues, the newest first. @param model only its issues */
export function listIssues(
  sql: Sql,
  {
    model = null as string | null,
    state = null as IssueState | null,
    before = null as number | null,
    limit = ISSUES_PER_PAGE,
  } = {},
): Promise<IssueRow[]> {
  return select(
    sql,
    issueRow,
    `${ISSUE} WHERE (:model::text IS NULL OR i.device_model = :model) AND (:before::bigint IS NULL OR i.id < :before::bigint)
       AND (:state::text IS NULL OR :state = CASE WHEN i.withdrawn_at IS NOT NULL THEN 'withdrawn'
         WHEN i.fixed_version IS NOT NULL THEN 'fixed' ELSE 'open' END)
     ORDER BY i.id DESC LIMIT :limit`,
    { model, state, before, limit },
  );
}

/** @returns undefined if it does not exist */
export async function getIssue(sql: Sql, issueId: number): Promise<IssueRow | undefined> {
  const [row] = await select(sql, issueRow, `${ISSUE} WHERE i.id = :issue`, { issue: issueId });
  return row;
}

/** The state of an issue. */
export const stateOfIssue = ({ withdrawn_at, fixed_version }: IssueRow): IssueState =>
  withdrawn_at !== null ? 'withdrawn' : fixed_version !== null ? 'fixed' : 'open';

/** The issues of a model that were not withdrawn, in the order of their ids. */
export function loadIssues(sql: Sql, deviceModel: string): Promise<IssueRow[]> {
  return readInPages(
    (page) =>
      select(
        sql,
        issueRow,
        `${ISSUE} WHERE i.device_model = :model AND i.withdrawn_at IS NULL ORDER BY i.id LIMIT :limit OFFSET :offset`,
        { model: deviceModel, ...page },
      ),
    ISSUES_PER_PAGE,
  );
}

/** The issues of a model that apply to one of these releases. */
export async function loadIssuesOf(sql: Sql, deviceModel: string, versions: readonly string[]): Promise<IssueRow[]> {
  const issues = await loadIssues(sql, deviceModel);
  return issues.filter((issue) => versions.some((version) => hasIssue(issue, version)));
}

/** What decides whether a rollout is kept back by known issues. */
interface SendingRollout {
  readonly device_model: string;
  readonly firmware_version: string;
  /** Empty: no release of the model has an issue. */
  readonly known_issues_digest?: string;
}

/**
 * The issues that keep devices from the release of a rollout, or from its stepping stones. A recovery has none: it sends back what the devices ran before.
 */
export async function loadKnownIssues(
  sql: Sql,
  { device_model, firmware_version, known_issues_digest: digest }: SendingRollout,
  target: Target,
  steppingStones: readonly { readonly version: string }[] = [],
): Promise<KnownIssue[]> {
  if (target.recovers !== null || digest === '') return [];
  const versions = [firmware_version, ...steppingStones.map(({ version }) => version)];
  return (await loadIssuesOf(sql, device_model, versions)).map((issue) => asKnownIssue(issue, versions));
}

/** An issue whose filter cannot be read concerns every device. */
export function asKnownIssue(
  issue: IssueFacts & Pick<IssueRow, 'device_filter'>,
  versions: readonly string[],
): KnownIssue {
  const parsed = parseTarget('all', issue.device_filter, 100);
  const appliesTo = versions.filter((version) => hasIssue(issue, version));
  return toKnownIssue(issue, appliesTo, parsed.ok ? parsed.value : EVERY_DEVICE);
}

const EVERY_DEVICE: Target = {
  deviceIds: null,
  macAddresses: null,
  groups: null,
  models: null,
  versions: null,
  metadata: {},
  facts: {},
  recovers: null,
  except: null,
};
