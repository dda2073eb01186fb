import type { Command } from 'commander';
import type { NewIssue } from '../../../api/known-issues.ts';
import {
  addCommand,
  addFilterFlags,
  addGroup,
  addPaging,
  CliError,
  confirmOrStop,
  EXIT,
  type FilterFlags,
  noteMore,
  type PagingOptions,
  readFilter,
  readPages,
  registerAction,
  type Session,
} from '../../session/index.ts';
import { count, issueEffectText, issueTable, issueText, printable, reachText } from '../../text/index.ts';

/** Known issues of releases, which keep the devices that they concern from these releases. */
export function addIssueCommands(program: Command): void {
  const group = addGroup(
    program,
    'issue',
    'known issues of releases: the devices that they concern are not sent these',
  );
  addAdd(group);
  addList(group);
  addShow(group);
  addFix(group);
  addWithdraw(group);
}

interface AddFlags extends FilterFlags {
  readonly title: string;
  readonly link?: string;
  readonly yes?: boolean;
}

function addAdd(group: Command): void {
  const command = addCommand(
    group,
    'add',
    'keep devices from a release, and from each higher version until the one that fixes the issue',
    [
      'paku-ota issue add esp32-s3 2.1.0 --title "old heaters stay on" --attribute heater=old',
      'paku-ota issue add esp32-s3 2.1.0 --title "restarts on revision C" --fact board_revision=C --link https://bugs.example/7',
    ],
  )
    .argument('<model>')
    .argument('<version>', 'the release in which the issue was found')
    .requiredOption('--title <text>', 'the issue in one line')
    .option('--link <url>', 'where more about it is written')
    .option('--yes', 'do not ask')
    .optionsGroup('Which devices it concerns (default: all of the model):');
  registerAction<AddFlags, [string, string]>(addFilterFlags(command), async (session, flags, model, version) => {
    const { title, link, yes = false } = flags;
    const filter = readFilter(flags) as NewIssue['filter'];
    const issue = { device_model: model, found_version: version, title, filter, ...(link !== undefined && { link }) };
    const preview = printable(await session.api.previewIssue(issue));
    for (const { message } of preview.warnings) session.note(`warning: ${message}`);
    session.note(issueEffectText(preview).join('\n'));
    await confirmOrStop(`Keep ${count(preview.devices, 'device')} on ${session.target.name} from ${version}?`, yes);
    session.show(await session.api.addIssue(issue), (added) => issueText(added, new Date()));
  });
}

interface ListFlags extends PagingOptions {
  readonly model?: string;
  readonly version?: string;
  readonly all?: true;
}

function addList(group: Command): void {
  const command = addCommand(group, 'list', 'known issues, the newest first', [
    'paku-ota issue list',
    'paku-ota issue list --model esp32-s3 --version 2.1.0',
    'paku-ota issue list --all',
  ])
    .option('--model <model>', 'of this device model')
    .option('--version <version>', 'that apply to this release')
    .option('--all', 'also those that are fixed or withdrawn');
  registerAction<ListFlags, []>(addPaging(command), async (session, { model, version, all, ...paging }) => {
    if (version !== undefined && model === undefined) throw new CliError('--version needs --model', EXIT.usage);
    const state = all || version !== undefined ? undefined : 'open';
    const page = await readPages(paging, (query) => session.api.issues({ ...query, model, version, state }));
    session.show(page, ({ items }) => issueTable(items));
    noteMore(session, page);
  });
}

function addShow(group: Command): void {
  const command = addCommand(group, 'show', 'one known issue, and the devices that it concerns', [
    'paku-ota issue show 3',
  ]).argument('<issue>', 'its id, as issue list shows it');
  registerAction<object, [string]>(command, async (session, _, id) => {
    session.show(await session.api.issue(checkId(id)), (issue) => issueText(issue, new Date()));
  });
}

function addFix(group: Command): void {
  const command = addCommand(group, 'fix', 'state the release that fixes an issue: it is sent to the devices again', [
    'paku-ota issue fix 3 --in 2.2.0',
  ])
    .argument('<issue>', 'its id, as issue list shows it')
    .requiredOption('--in <version>', 'the release that fixes it')
    .option('--yes', 'do not ask');
  registerAction<{ in: string; yes?: boolean }, [string]>(command, async (session, { in: version, yes }, id) => {
    await askAboutEnd(session, checkId(id), version, yes);
    session.show(await session.api.fixIssue(id, version), (issue) => [
      `Known issue ${issue.issue_id} is fixed in ${issue.fixed_version}.`,
      ...reachText(issue.reached_by),
    ]);
  });
}

function addWithdraw(group: Command): void {
  const command = addCommand(
    group,
    'withdraw',
    'withdraw an issue, which was none: it keeps no device from a release',
    ['paku-ota issue withdraw 3 --reason "the heaters were wired wrongly"'],
  )
    .argument('<issue>', 'its id, as issue list shows it')
    .requiredOption('--reason <text>', 'kept with the issue')
    .option('--yes', 'do not ask');
  registerAction<{ reason: string; yes?: boolean }, [string]>(command, async (session, { reason, yes }, id) => {
    await askAboutEnd(session, checkId(id), undefined, yes);
    session.show(await session.api.withdrawIssue(id, reason), (issue) => [
      `Known issue ${issue.issue_id} was withdrawn.`,
      ...reachText(issue.reached_by),
    ]);
  });
}

/** Says which rollouts send because of the end of an issue, and asks. @param fixedIn undefined: it is withdrawn */
async function askAboutEnd(session: Session, id: string, fixedIn: string | undefined, yes = false) {
  const issue = printable(await session.api.issue(id, fixedIn));
  session.note([`Known issue ${id}: ${issue.title}.`, ...reachText(issue.reached_by)].join('\n'));
  const updates = issue.reached_by.reduce((sum, { devices }) => sum + devices, 0);
  await confirmOrStop(
    `${fixedIn === undefined ? 'Withdraw' : `State that ${fixedIn} fixes`} known issue ${id} on ${session.target.name}, which lets ${count(updates, 'update')} be sent?`,
    yes,
  );
}

function checkId(id: string): string {
  if (/^\d{1,18}$/.test(id)) return id;
  throw new CliError(`"${id}" is not the id of a known issue; paku-ota issue list shows them`, EXIT.usage);
}
