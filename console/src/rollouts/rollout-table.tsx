import { Link } from 'wouter';
import type { RolloutSummary } from '../../../api/rollouts.ts';
import { count } from '../text/format.ts';
import { OutcomeBar } from '../ui/bar.tsx';
import { Ago, RolloutPill } from '../ui/components.tsx';
import { type Column, ListTable } from '../ui/list-table.tsx';

export function RolloutTable({ rollouts }: { readonly rollouts: readonly RolloutSummary[] }) {
  return <ListTable label="Rollouts" columns={COLUMNS} rows={rollouts} keyOf={({ rollout_id: id }) => id} />;
}

const COLUMNS: readonly Column<RolloutSummary>[] = [
  {
    name: 'Rollout',
    cell: (rollout) => (
      <Link href={`/rollouts/${rollout.rollout_id}`} title={rollout.paused_reason ?? undefined}>
        {rollout.name}
      </Link>
    ),
  },
  { name: 'State', cell: ({ state }) => <RolloutPill state={state} /> },
  { name: 'Release', cell: (rollout) => `${rollout.device_model} ${rollout.firmware_version}` },
  { name: 'Progress', kind: 'wide', cell: (rollout) => <OutcomeBar counts={rollout} of={rollout.devices} /> },
  { name: 'Assigned', kind: 'number', cell: ({ devices }) => (devices === 0 ? 'none yet' : count(devices)) },
  { name: 'Done', kind: 'number', cell: ({ succeeded }) => count(succeeded) },
  {
    name: 'Failed',
    kind: 'number',
    cell: ({ failed }) => <span className={failed > 0 ? 'bad-text' : ''}>{count(failed)}</span>,
  },
  { name: 'Created', cell: (rollout) => <Ago at={rollout.created_at} /> },
];
