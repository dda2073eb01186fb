export { addIssue, fixIssue, type NewIssue, withdrawIssue } from './change-issues.ts';
export { type IssueEffect, type IssueScope, isFreed, listKeptUpdates, loadIssueEffect } from './issue-effect.ts';
export {
  getIssue,
  type IssueRow,
  listIssues,
  loadIssues,
  loadIssuesOf,
  loadKnownIssues,
  MAX_ISSUE_FILTER_BYTES,
  MAX_ISSUES,
  stateOfIssue,
} from './known-issues.ts';
