import * as routes from '../../api/known-issues.ts';
import {
  addIssue,
  fixIssue,
  getIssue,
  type IssueRow,
  type IssueScope,
  listIssues,
  loadIssueEffect,
  loadIssuesOf,
  MAX_ISSUE_FILTER_BYTES,
  MAX_ISSUES,
  stateOfIssue,
  withdrawIssue,
} from '../../core/known-issues/index.ts';
import { hasIssue, isFixedIn, parseTarget } from '../../core/policy/index.ts';
import { getRelease, loadRegisteredReleases } from '../../core/releases/index.ts';
import { listSenders } from '../../core/rollouts/index.ts';
import { type App, json, type Services } from './context.ts';
import { decodeCursor, toPage } from './cursors.ts';
import { invalid, notFound, RefusedCall } from './problems.ts';
import { reachOfIssueEnd } from './reach.ts';
import { warnOfExceptions, warnOfTarget } from './target-warnings.ts';

/** A row that SQL wrote may have a filter that is too long to be read. */
const filterOf = (filter: unknown) =>
  typeof filter === 'object' && filter !== null ? (filter as Record<string, unknown>) : { unreadable: true };

const shown = ({ device_filter, ...issue }: IssueRow) =>
  json({ ...issue, filter: filterOf(device_filter), state: stateOfIssue({ device_filter, ...issue }) });

export function addIssueRoutes(app: App, services: Services): void {
  const { sql, now } = services;

  const find = async (id: string): Promise<IssueRow> => {
    const issue = await getIssue(sql, Number(id));
    if (issue === undefined) throw notFound(`known issue ${id}`);
    return issue;
  };

  const checkRelease = async (model: string, version: string) => {
    if ((await getRelease(sql, model, version)) === undefined) throw notFound(`release ${version} for ${model}`);
  };

  const effectOf = async (scope: IssueScope) => {
    const releases = await loadRegisteredReleases(sql, scope.device_model);
    const versions = [...new Set([scope.found_version, ...releases.map(({ version }) => version)])];
    const having = versions.filter((version) => hasIssue(scope, version));
    const recoverable = await listSenders(sql, scope.device_model, having);
    return { ...(await loadIssueEffect(sql, scope, versions)), recoverable };
  };

  const detail = async (issue: IssueRow, fixedIn: string | null = null) => ({
    ...shown(issue),
    ...(issue.withdrawn_at === null ? await effectOf(issue) : { devices: 0, running: 0, pending: 0, recoverable: [] }),
    reached_by: issue.withdrawn_at === null ? await reachOfIssueEnd(services, issue, fixedIn) : [],
  });

  /** @throws RefusedCall if it is not one of the model, or not higher than the one in which the issue was found */
  const checkFix = async ({ device_model: model, found_version: found }: IssueRow, version: string, field: string) => {
    await checkRelease(model, version);
    if (version === found || !isFixedIn(version, found)) {
      throw invalid(field, `${version} is not higher than ${found}, in which the issue was found`);
    }
  };

  /** Of an issue that is not registered: its filter is checked, as that of a rollout is. */
  const checkNew = async ({ device_model, found_version, filter }: ReturnType<typeof routes.newIssueSchema.parse>) => {
    await checkRelease(device_model, found_version);
    const bytes = Buffer.byteLength(JSON.stringify(filter));
    if (bytes > MAX_ISSUE_FILTER_BYTES) {
      const detail = `${bytes} bytes of JSON, at most ${MAX_ISSUE_FILTER_BYTES} can be read; put the devices into a group`;
      throw invalid('filter', detail);
    }
    const parsed = parseTarget('all', filter, 100);
    if (!parsed.ok) throw invalid('filter', parsed.reason);
    return { device_model, found_version, fixed_version: null, device_filter: filter };
  };

  app.openapi(routes.listIssues, async (c) => {
    const { model, version, state, limit, cursor } = c.req.valid('query');
    if (version !== undefined) {
      if (model === undefined) throw invalid('model', 'expected with a version');
      const issues = (await loadIssuesOf(sql, model, [version])).map(shown).reverse();
      const items = issues.filter((issue) => state === undefined || issue.state === state);
      return c.json({ items, next_cursor: null }, 200);
    }
    const before = decodeCursor(cursor, 'number');
    const rows = await listIssues(sql, { model: model ?? null, state: state ?? null, before, limit });
    return c.json(
      toPage(rows.map(shown), limit, ({ issue_id: id }) => id),
      200,
    );
  });

  app.openapi(routes.previewIssue, async (c) => {
    const scope = await checkNew(c.req.valid('json'));
    const targeting = {
      device_model: scope.device_model,
      target_type: 'all',
      target_filter: scope.device_filter,
    } as const;
    const warnings = [...(await warnOfTarget(sql, targeting)), ...(await warnOfExceptions(sql, targeting))];
    return c.json({ ...(await effectOf(scope)), warnings }, 200);
  });

  app.openapi(routes.addIssue, async (c) => {
    const body = c.req.valid('json');
    const { device_model: deviceModel, found_version: foundVersion, title, link = null, filter } = body;
    await checkNew(body);
    const added = await addIssue(sql, { deviceModel, foundVersion, title, link, filter, by: c.get('caller') }, now());
    if (added === undefined) {
      throw new RefusedCall(
        409,
        `${MAX_ISSUES} known issues apply to releases of ${deviceModel}, and no more can: withdraw those of releases that are not sent any more.`,
      );
    }
    return c.json(await detail(await find(String(added.id))), added.isNew ? 201 : 200);
  });

  app.openapi(routes.getIssue, async (c) => {
    const issue = await find(c.req.valid('param').issue);
    const { fixed_in: fixedIn } = c.req.valid('query');
    if (fixedIn !== undefined) await checkFix(issue, fixedIn, 'fixed_in');
    return c.json(await detail(issue, fixedIn ?? null), 200);
  });

  app.openapi(routes.fixIssue, async (c) => {
    const issue = await find(c.req.valid('param').issue);
    const { version } = c.req.valid('json');
    const state = stateOfIssue(issue);
    const id = issue.issue_id;
    if (state !== 'open') {
      const was = state === 'fixed' ? `fixed in ${issue.fixed_version}` : 'withdrawn';
      const again = 'If a later release has it again, add a new issue to that release.';
      throw new RefusedCall(409, `Known issue ${id} was ${was}. ${again}`);
    }
    await checkFix(issue, version, 'version');
    const reached_by = await reachOfIssueEnd(services, issue, version);
    await fixIssue(sql, { issueId: id, version, by: c.get('caller') }, now());
    return c.json({ ...(await detail(await find(String(id)))), reached_by }, 200);
  });

  app.openapi(routes.withdrawIssue, async (c) => {
    const issue = await find(c.req.valid('param').issue);
    const id = issue.issue_id;
    if (issue.withdrawn_at !== null) {
      throw new RefusedCall(409, `Known issue ${id} was withdrawn at ${issue.withdrawn_at.toISOString()}.`);
    }
    const reached_by = await reachOfIssueEnd(services, issue, null);
    const { reason } = c.req.valid('json');
    await withdrawIssue(sql, { issueId: id, reason, by: c.get('caller') }, now());
    return c.json({ ...(await detail(await find(String(id)))), reached_by }, 200);
  });
}
