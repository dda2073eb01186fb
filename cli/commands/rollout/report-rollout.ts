import type { Command } from 'commander';
import { readReport, reportMarkdown, reportText } from '../../../api/rollout-report.ts';
import { addCommand, registerAction } from '../../session/index.ts';

export function addReport(group: Command): void {
  const command = addCommand(
    group,
    'report',
    'how far devices came, failures by cause, health, and every decision, as Markdown',
    ['paku-ota rollout report "vans to 2.1" > report.md'],
  ).argument('<rollout>', 'id or name');
  registerAction<object, [string]>(command, async (session, _, name) => {
    const report = await readReport(session.api, name, new Date());
    session.show(report, (shown) => reportMarkdown(reportText(shown)).trimEnd().split('\n'));
  });
}
