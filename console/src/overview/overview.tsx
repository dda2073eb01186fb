import { useQuery } from '@tanstack/react-query';
import { Link } from 'wouter';
import type { Fleet } from '../../../api/service.ts';
import { api } from '../data/client.ts';
import { StopButton } from '../holds/index.ts';
import { RolloutTable } from '../rollouts/index.ts';
import { count, dateTime, percent } from '../text/format.ts';
import { Empty, Loaded } from '../ui/loaded.tsx';
import { Page, Panel } from '../ui/page.tsx';
import { Attention } from './attention.tsx';
import { Versions } from './versions.tsx';

export function OverviewPage() {
  const fleet = useQuery({ queryKey: ['fleet'], queryFn: api.fleet });
  return (
    <Page title="Overview" actions={<StopButton />}>
      <Loaded of={fleet} lines={12}>
        {(data) => (
          <>
            <Figures fleet={data} />
            {data.idle_since !== null && (
              <p className="hint">
                Idle since {dateTime(data.idle_since)}: repeated heartbeats are not stored, so “seen” is as of then.
              </p>
            )}
            <div className="overview-grid">
              <Versions fleet={data} />
              <Attention of={data.attention} />
            </div>
            <Panel title="Rollouts under way" aside={<Link href="/rollouts">All rollouts</Link>}>
              {data.rollouts.length === 0 ? (
                <Empty title="No rollout is under way">
                  <Link href="/rollouts/new">Create one</Link>
                </Empty>
              ) : (
                <RolloutTable rollouts={data.rollouts} />
              )}
            </Panel>
          </>
        )}
      </Loaded>
    </Page>
  );
}

function Figures({ fleet: { devices, revoked, seen, rollouts, attention } }: { readonly fleet: Fleet }) {
  const seenIn = (span: string, value: number) => ({
    name: `seen in the last ${span}`,
    value: `${seen.is_estimate ? '≈ ' : ''}${count(value)}`,
    note: devices === 0 ? '' : percent(value, devices),
  });
  const figures = [
    { name: 'devices', value: count(devices), note: revoked > 0 ? `and ${count(revoked)} revoked` : '' },
    {
      name: 'online',
      value: `${seen.is_estimate ? '≈ ' : ''}${count(seen.online)}`,
      note: devices === 0 ? '' : percent(seen.online, devices),
    },
    seenIn('hour', seen.last_hour),
    seenIn('day', seen.last_day),
    seenIn('week', seen.last_week),
    { name: 'rollouts under way', value: count(rollouts.length), note: '' },
    { name: 'need attention', value: count(attention.length), note: '' },
  ];
  return (
    <dl className="figures">
      {figures.map(({ name, value, note }) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>
            {value} {note && <small>{note}</small>}
          </dd>
        </div>
      ))}
    </dl>
  );
}
