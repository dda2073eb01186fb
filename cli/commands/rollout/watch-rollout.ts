import type { Command } from 'commander';
import type { ApiClient } from '../../../api/client.ts';
import type { DeviceUpdate, Rollout } from '../../../api/rollouts.ts';
import { FAILED_STATES } from '../../../core/policy/index.ts';
import type { Session } from '../../session/index.ts';
import { addCommand, CliError, integerOption, registerAction, retryRead } from '../../session/index.ts';
import { caller, lastChange, printable } from '../../text/index.ts';
import { changingLines, liveScreen } from './screen.ts';
import { expectedDevices, failureLine, type Snapshot, watchLine, watchLines } from './watch-text.ts';

interface WatchOptions {
  readonly interval: number;
}

const MAX_FAILURES_SHOWN = 5;
const PREVIEW_INTERVAL_MS = 60_000;

export function addWatch(group: Command): void {
  const command = addCommand(
    group,
    'watch',
    'watch a rollout until it has ended: exit code 0 completed, 1 halted, paused or aborted',
    ['paku-ota rollout watch "vans to 2.1"'],
  )
    .argument('<rollout>', 'id or name')
    .option('--interval <seconds>', 'how often to look', integerOption(1, 3600), 2);
  registerAction<WatchOptions, [string]>(command, watchRollout);
}

async function watchRollout(session: Session, { interval }: WatchOptions, rollout: string): Promise<void> {
  const read = snapshotReader(session.api, rollout);
  const draw = makeRenderer(session);
  let snapshot = await read();
  for (;;) {
    draw(snapshot);
    const end = outcomeOf(snapshot.rollout);
    if (end === 'completed') return;
    if (end !== undefined) throw new CliError(end);
    await new Promise((resolve) => setTimeout(resolve, interval * 1000));
    snapshot = await retryRead(read, interval * 1000);
  }
}

/** Prints snapshots: with --json an object per line, on a terminal a view that is redrawn, elsewhere the lines that changed. */
function makeRenderer({ json }: Session): (snapshot: Snapshot) => void {
  const lines = changingLines(console.log);
  if (json) return ({ rollout, progress }) => lines.draw([JSON.stringify({ rollout, progress })]);
  if (process.stdout.isTTY) {
    const screen = liveScreen(process.stdout);
    return (snapshot) => screen.draw(watchLines(printable(snapshot), new Date()));
  }
  return (latest) => {
    const snapshot = printable(latest);
    // The time of the failure stands for the present, so that its line does not change by itself.
    const failures = snapshot.failures.map((update) => failureLine(update, new Date(lastChange(update))));
    lines.draw([watchLine(snapshot), ...failures]);
  };
}

/** How a rollout ended: `completed`, or why it did not complete; undefined while it is running. */
export function outcomeOf({ name, state, paused_by, paused_reason, ...rollout }: Rollout): string | undefined {
  if (state === 'completed') return state;
  if (state === 'aborted') return `"${name}" was aborted`;
  if (state === 'halted' || state === 'paused')
    return `"${name}" was ${state} by ${caller(paused_by ?? 'SQL')}: ${paused_reason}`;
  // A draft that waits for a second person is watched on.
  return state === 'draft' && rollout.requested_action === null
    ? `"${name}" is a draft: start it with paku-ota rollout change "${name}" --start`
    : undefined;
}

function snapshotReader(api: ApiClient, name: string): () => Promise<Snapshot> {
  let expected: number | null = null;
  let previewedAt = 0;
  return async () => {
    const rollout = await api.rollout(name);
    const id = rollout.rollout_id;
    const [progress, failures] = await Promise.all([
      api.progress(id),
      rollout.failed > 0 ? latestFailures(api, id) : [],
    ]);
    if (rollout.state === 'active' && Date.now() - previewedAt > PREVIEW_INTERVAL_MS) {
      const now = expectedDevices(rollout, await api.previewRollout(draftOf(rollout)));
      // The maximum: a preview no longer counts a device that was just updated, although its update is still open here.
      expected = Math.max(expected ?? 0, now);
      previewedAt = Date.now();
    }
    return { rollout, progress, failures, expected };
  };
}

async function latestFailures(api: ApiClient, id: number): Promise<DeviceUpdate[]> {
  const pages = await Promise.all(
    FAILED_STATES.map((status) => api.updates(id, { status, limit: MAX_FAILURES_SHOWN })),
  );
  return pages
    .flatMap(({ items }) => items)
    .sort((a, b) => lastChange(b).localeCompare(lastChange(a)))
    .slice(0, MAX_FAILURES_SHOWN);
}

/** The part of a rollout that decides which devices it targets. */
const draftOf = (rollout: Rollout) => ({
  name: rollout.name,
  firmware_version: rollout.firmware_version,
  device_model: rollout.device_model,
  target_type: rollout.target_type,
  target_filter: rollout.target_filter,
  rollout_percentage: rollout.rollout_percentage,
  priority: rollout.priority,
  allow_downgrade: rollout.allow_downgrade,
  include_unknown: rollout.include_unknown,
});
