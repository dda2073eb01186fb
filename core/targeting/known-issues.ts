import type { IssueFacts, Target } from '../policy/index.ts';
import { allOf, conditionsOver, LISTED, listedValues, versionIn } from './target-conditions.ts';

/** A known issue as the rules of assignment read it: the devices that it concerns, and the releases that they are not sent. */
export interface KnownIssue extends IssueFacts, ReturnType<typeof listedValues> {
  /** Versions of the releases in question to which it applies. */
  readonly appliesTo: readonly string[];
  readonly versions: readonly string[] | null;
}

export const toKnownIssue = (
  { issue_id, title, found_version, fixed_version }: IssueFacts,
  appliesTo: readonly string[],
  { versions, ...target }: Target,
): KnownIssue => ({ issue_id, title, found_version, fixed_version, appliesTo, versions, ...listedValues(target) });

/** Selects those of `:knownIssues` (`i`) that concern the device `d`. OFFSET 0 keeps this a look at each device. */
const CONCERNING = `jsonb_to_recordset(:knownIssues::jsonb) AS i(issue_id bigint, "appliesTo" jsonb, versions jsonb, ${LISTED.join(', ')})
    WHERE ${versionIn('i.versions', 'i.excepted')}
      AND ${allOf(Object.values(conditionsOver((name) => `i.${name}`)))}`;

/** True if an issue keeps the device `d` from the release. @param version SQL for the version of the release */
export const hasKnownIssue = (version: string): string =>
  `(:knownIssues::jsonb <> '[]' AND EXISTS (SELECT FROM ${CONCERNING} AND i."appliesTo" @> to_jsonb((${version})::text) OFFSET 0))`;

/** The ids of those issues, as JSON. */
export const knownIssuesOf = (version: string): string =>
  `(SELECT coalesce(jsonb_agg(i.issue_id ORDER BY i.issue_id), '[]') FROM ${CONCERNING} AND i."appliesTo" @> to_jsonb((${version})::text))`;
