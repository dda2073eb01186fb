import * as z from 'zod';
import { type RowOf, readInPages, type Sql, select } from '../db/index.ts';
import { hasIssue, isFixedIn } from '../policy/index.ts';
import { hasKnownIssue, knownIssuesOf } from '../targeting/index.ts';
import { ID } from '../util/index.ts';
import { asKnownIssue, type IssueRow, loadIssues } from './known-issues.ts';

/** The devices that an issue concerns, in numbers. */
export interface IssueEffect {
  readonly devices: number;
  /** Those of them that run a release with the issue. */
  readonly running: number;
  /** Those of them with a pending update to such a release: it is not sent. */
  readonly pending: number;
}

/** An issue that may not exist yet. */
export type IssueScope = Pick<IssueRow, 'device_model' | 'found_version' | 'fixed_version' | 'device_filter'>;

const VERSIONS_PER_PAGE = 500;

/** @param versions of the registered releases of the model */
export async function loadIssueEffect(sql: Sql, scope: IssueScope, versions: readonly string[]): Promise<IssueEffect> {
  const issue = { issue_id: 0, title: '', ...scope };
  const { device_model: model, found_version: version } = scope;
  const groups = await readInPages(
    (page) =>
      select(
        sql,
        z.strictObject({ version: z.string(), devices: z.int() }),
        `SELECT d.current_firmware_version AS version, count(*)::integer AS devices FROM devices AS d
         WHERE d.device_model = :model AND d.revoked_at IS NULL AND ${hasKnownIssue(':version')}
         GROUP BY 1 ORDER BY 1 LIMIT :limit OFFSET :offset`,
        { model, version, knownIssues: [asKnownIssue(issue, [version])], ...page },
      ),
    VERSIONS_PER_PAGE,
  );
  const [row] = await select(
    sql,
    z.strictObject({ pending: z.int() }),
    `SELECT count(*)::integer AS pending FROM device_update_status AS u JOIN devices AS d USING (device_id)
     WHERE ${IS_PENDING} AND d.device_model = :model AND ${hasKnownIssue('u.firmware_version')}`,
    { model, knownIssues: [asKnownIssue(issue, versions)] },
  );
  const sum = (of: typeof groups) => of.reduce((total, { devices }) => total + devices, 0);
  return {
    devices: sum(groups),
    running: sum(groups.filter((group) => hasIssue(scope, group.version))),
    pending: row?.pending ?? 0,
  };
}

const IS_PENDING = `u.completed_at IS NULL AND u.status = 'pending' AND u.rollout_id IS NOT NULL`;

const keptUpdates = z.strictObject({ rollout_id: ID.rollout, firmware_version: z.string(), devices: z.int() });

/** Pending updates that this issue alone keeps from being sent, and that its end lets be sent. @param fixedIn see {@link isFreed} */
export async function listKeptUpdates(
  sql: Sql,
  { issue_id: id, device_model: model }: IssueRow,
  fixedIn: string | null,
): Promise<RowOf<typeof keptUpdates>[]> {
  const pending = await select(
    sql,
    z.strictObject({ version: z.string() }),
    `SELECT DISTINCT u.firmware_version AS version FROM device_update_status AS u JOIN devices AS d USING (device_id)
     WHERE ${IS_PENDING} AND d.device_model = :model LIMIT ${VERSIONS_PER_PAGE}`,
    { model },
  );
  const versions = pending.map(({ version }) => version);
  const knownIssues = (await loadIssues(sql, model)).map((issue) => asKnownIssue(issue, versions));
  const rows = await select(
    sql,
    keptUpdates,
    `SELECT u.rollout_id, u.firmware_version, count(*)::integer AS devices
     FROM device_update_status AS u JOIN devices AS d USING (device_id)
     WHERE ${IS_PENDING} AND d.device_model = :model AND ${knownIssuesOf('u.firmware_version')} = jsonb_build_array(:issue::bigint)
     GROUP BY 1, 2`,
    { model, issue: id, knownIssues },
  );
  return rows.filter(({ firmware_version: version }) => isFreed(version, fixedIn));
}

/** True if the end of an issue lets this version be sent. @param fixedIn the release that fixes it; null: it is withdrawn */
export const isFreed = (version: string, fixedIn: string | null): boolean =>
  fixedIn === null || isFixedIn(version, fixedIn);
