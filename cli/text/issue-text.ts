import { describeFilter } from '../../api/describe-filter.ts';
import type { IssueDetail, IssuePreview, KnownIssue } from '../../api/known-issues.ts';
import type { TargetFilter } from '../../api/rollouts.ts';
import { recoverText } from './recovery-text.ts';
import { bold, green, yellow } from './style.ts';
import { facts, table } from './table.ts';
import { caller, count, instantAgo } from './units.ts';

/** Values of a condition that a table lists. */
const LISTED = 2;

const concerns = ({ filter }: KnownIssue, most?: number) => describeFilter(filter as TargetFilter, most);

const stateOf = ({ state, fixed_version: fixed }: KnownIssue) =>
  state === 'open' ? yellow('open') : state === 'fixed' ? green(`fixed in ${fixed}`) : 'withdrawn';

/** The devices that an issue concerns, and what a recovery can do for those that run a release with it. */
export function issueEffectText({ devices, running, pending, recoverable }: IssuePreview | IssueDetail): string[] {
  return [
    `${bold(count(devices, 'device'))} ${devices === 1 ? 'is' : 'are'} sent no release that has it; ${count(pending, 'pending update')} to such a release ${pending === 1 ? 'is' : 'are'} not sent.`,
    ...(running === 0
      ? []
      : [yellow(`${count(running, 'device')} of them ${running === 1 ? 'runs' : 'run'} such a release already.`)]),
    ...(running === 0 ? [] : recoverText(recoverable)),
  ];
}

/** One issue with its history. */
export function issueText(issue: IssueDetail, now: Date): string[] {
  const { issue_id: id, title, device_model: model, found_version: found } = issue;
  const by = (name: string | null) => caller(name ?? 'SQL');
  return [
    `${bold(`known issue ${id}: ${title}`)}  ${stateOf(issue)}`,
    ...facts([
      ['found in', `${model} ${found}`],
      ['concerns', concerns(issue)],
      ['more', issue.link],
      ['added', `${instantAgo(issue.created_at, now)} by ${by(issue.created_by)}`],
      ['fixed in', issue.fixed_version],
      ['fix stated', issue.fixed_at && `${instantAgo(issue.fixed_at, now)} by ${by(issue.fixed_by)}`],
      ['withdrawn', issue.withdrawn_at && `${instantAgo(issue.withdrawn_at, now)} by ${by(issue.withdrawn_by)}`],
      ['because', issue.withdrawn_reason],
    ]),
    ...(issue.state === 'withdrawn' ? [] : issueEffectText(issue)),
    ...(issue.state === 'open' ? [`When a release fixes it: paku-ota issue fix ${id} --in <version>`] : []),
  ];
}

export function issueTable(issues: readonly KnownIssue[]): string[] {
  if (issues.length === 0) return ['No known issues.'];
  return table(issues, [
    { head: 'ID', value: ({ issue_id }) => issue_id, align: 'right' },
    { head: 'MODEL', value: ({ device_model }) => device_model },
    { head: 'FOUND IN', value: ({ found_version }) => found_version },
    { head: 'STATE', value: stateOf },
    { head: 'TITLE', value: ({ title }) => title },
    { head: 'CONCERNS', value: (issue) => concerns(issue, LISTED) },
  ]);
}
