import type { DeviceChange, Reach } from '../../../api/reach.ts';
import { confirmOrStop, type Session } from '../../session/index.ts';
import { count, printable, reachText } from '../../text/index.ts';

/** Says which rollouts a change makes send, and asks before it; a change that sends nothing is not asked about. */
export async function askReach(session: Session, changes: readonly DeviceChange[], isYes: boolean): Promise<void> {
  const reached: Reach[] = [];
  for (const change of changes) reached.push(...(await session.api.previewChange(change)).reached_by);
  if (reached.length === 0) return;
  session.note(reachText(printable(reached)).join('\n'));
  const updates = reached.reduce((sum, { devices }) => sum + devices, 0);
  await confirmOrStop(`Make this change on ${session.target.name}, which sends ${count(updates, 'update')}?`, isYes);
}
