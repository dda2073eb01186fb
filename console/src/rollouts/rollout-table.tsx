import { Link } from 'wouter';
import type { RolloutSummary } from '../../../api/rollouts.ts';
import { count } from '../format.ts';
import { OutcomeBar } from '../parts/bar.tsx';
import { Ago, RolloutPill, TableFrame } from '../parts/bits.tsx';

export function RolloutTable({ rollouts }: { readonly rollouts: readonly RolloutSummary[] }) {
  return (
    <TableFrame label="Rollouts">
      <table className="list">
        <thead>
          <tr>
            <th>Rollout</th>
            <th>State</th>
            <th>Release</th>
            <th className="wide">Progress</th>
            <th className="number">Devices</th>
            <th className="number">Failed</th>
            <th>Made</th>
          </tr>
        </thead>
        <tbody>
          {rollouts.map((rollout) => (
            <tr key={rollout.rollout_id}>
              <th scope="row" title={rollout.paused_reason ?? undefined}>
                <Link href={`/rollouts/${rollout.rollout_id}`}>{rollout.name}</Link>
              </th>
              <td>
                <RolloutPill state={rollout.state} />
              </td>
              <td>
                {rollout.device_model} {rollout.firmware_version}
              </td>
              <td>
                <OutcomeBar counts={rollout} of={rollout.devices} />
              </td>
              <td className="number">{count(rollout.devices)}</td>
              <td className={rollout.failed > 0 ? 'number bad-text' : 'number'}>{count(rollout.failed)}</td>
              <td>
                <Ago at={rollout.created_at} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </TableFrame>
  );
}
