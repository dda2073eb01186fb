import { compareVersions, isSameVersion } from '../protocol/index.ts';

/** The releases to which a known issue applies. */
export interface IssueRange {
  readonly found_version: string;
  /** Null: no release that fixes it is known. */
  readonly fixed_version: string | null;
}

/** `fixed`: it applies to the releases below the one that fixes it. `withdrawn`: it applies to none. */
export const ISSUE_STATES = ['open', 'fixed', 'withdrawn'] as const;
export type IssueState = (typeof ISSUE_STATES)[number];

/** A known issue as people read it. */
export interface IssueFacts extends IssueRange {
  readonly issue_id: number;
  readonly title: string;
}

/**
 * True if a release has the issue: the one in which it was found, and every higher version below the one that fixes it.
 * Of versions without an order, only the one in which it was found has it.
 */
export function hasIssue({ found_version: found, fixed_version: fixed }: IssueRange, version: string): boolean {
  if (isSameVersion(version, found)) return true;
  if ((compareVersions(version, found) ?? -1) < 0) return false;
  return fixed === null || !isFixedIn(version, fixed);
}

/** True if a release has the fix that an earlier one, or this one, brought. */
export const isFixedIn = (version: string, fixed: string): boolean => (compareVersions(version, fixed) ?? -1) >= 0;

/** `known issue 3: the heater stays on` */
export const describeIssue = ({ issue_id: id, title }: IssueFacts): string => `known issue ${id}: ${title}`;

/** Names issues, each with the command that shows it. */
export const describeIssues = (issues: readonly IssueFacts[]): string =>
  issues.map((issue) => `${describeIssue(issue)} (\`paku-ota issue show ${issue.issue_id}\`)`).join('; ');

/** What has to happen so that a device which it concerns is updated, with the command that shows it. */
export function describeIssueEnd({ issue_id: id, fixed_version: fixed }: IssueFacts): string {
  const end = fixed === null ? 'a release that fixes it is sent' : `${fixed} is sent, which fixes it`;
  return `nothing, until ${end}, or the issue is withdrawn: \`paku-ota issue show ${id}\``;
}
