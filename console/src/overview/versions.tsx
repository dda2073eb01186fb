import { useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { Link } from 'wouter';
import type { Fleet } from '../../../api/service.ts';
import { Chart } from '../charts/index.ts';
import { api } from '../data/client.ts';
import { count, counted, dateTime, percent } from '../text/format.ts';
import { Empty, Loaded } from '../ui/loaded.tsx';
import { Panel } from '../ui/page.tsx';
import { type VersionSeries, versionSeries } from './version-series.ts';

const SPANS = [
  { hours: 1, name: '1 h' },
  { hours: 24, name: '1 day' },
  { hours: 24 * 7, name: '1 week' },
  { hours: 24 * 30, name: '30 days' },
];

/** The shortest time axis, in seconds. */
const SHORTEST_SPAN = 60;

export function Versions({ fleet }: { readonly fleet: Fleet }) {
  const [hours, setHours] = useState(24);
  const [model, setModel] = useState('');
  const history = useQuery({
    queryKey: ['history', hours],
    queryFn: () => api.fleetHistory(hours),
    refetchInterval: 30_000,
    placeholderData: (previous) => previous,
  });
  const models = [...new Set(fleet.versions.map((version) => version.device_model))].sort();
  return (
    <Panel
      title="Versions across the fleet"
      className="versions"
      aside={
        <div className="controls">
          {models.length > 1 && (
            <select aria-label="Model" value={model} onChange={(event) => setModel(event.target.value)}>
              <option value="">all models</option>
              {models.map((each) => (
                <option key={each}>{each}</option>
              ))}
            </select>
          )}
          <fieldset className="segments" aria-label="Time span">
            {SPANS.map((span) => (
              <button
                key={span.hours}
                type="button"
                aria-pressed={span.hours === hours}
                onClick={() => setHours(span.hours)}
              >
                {span.name}
              </button>
            ))}
          </fieldset>
        </div>
      }
    >
      <Loaded of={history} lines={8}>
        {(samples) => <VersionChart {...{ fleet, samples, model, hours }} />}
      </Loaded>
    </Panel>
  );
}

interface VersionChartProps {
  readonly fleet: Fleet;
  readonly samples: Parameters<typeof versionSeries>[0];
  readonly model: string;
  readonly hours: number;
}

function VersionChart({ fleet, samples, model, hours }: VersionChartProps) {
  const [point, setPoint] = useState<number | null>(null);
  const data = useMemo(() => versionSeries(samples, fleet, model || undefined, new Date()), [samples, fleet, model]);
  const now = data.times.at(-1) ?? 0;
  // The axis begins with the first sample when that is later than the chosen span.
  const from = Math.max(now - hours * 3_600, Math.min(data.times[0] ?? now, now - SHORTEST_SPAN));
  const span = useMemo(() => [from, now] as const, [from, now]);
  if (data.series.length === 0) {
    return (
      <Empty title="No devices yet">
        <p>A device registers itself with its first status message.</p>
      </Empty>
    );
  }
  const [newest] = data.series;
  return (
    <>
      {data.times.length > 1 ? (
        <Chart
          label={`Devices by firmware version over time; the table below has the numbers. Newest: ${newest?.label}.`}
          times={data.times}
          series={data.series}
          height={220}
          span={span}
          onPoint={setPoint}
        />
      ) : (
        <p className="hint">A sample is taken every few minutes; the history starts now.</p>
      )}
      <VersionTable data={data} point={point} model={model} />
    </>
  );
}

/** The legend of the chart, with the numbers at the point under the pointer, otherwise now. */
function VersionTable({ data, point, model }: { data: VersionSeries; point: number | null; model: string }) {
  const last = data.times.length - 1;
  const at = Math.min(point ?? last, last);
  const whole = data.series.reduce((sum, { values }) => sum + (values[at] ?? 0), 0);
  const time = at === last ? 'Now' : dateTime(new Date((data.times[at] ?? 0) * 1000).toISOString());
  return (
    <table className="version-table">
      <caption>
        {time}: {counted(whole, 'device')}
      </caption>
      <thead className="unseen">
        <tr>
          <th>Version</th>
          <th>Devices</th>
          <th>Share</th>
        </tr>
      </thead>
      <tbody>
        {data.series.map(({ label, values, colour }) => (
          <tr key={label}>
            <th scope="row">
              <i style={{ background: `var(${colour})` }} />
              <VersionLink label={label} model={model} />
            </th>
            <td>{count(values[at] ?? 0)}</td>
            <td>{percent(values[at] ?? 0, whole)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function VersionLink({ label, model }: { readonly label: string; readonly model: string }) {
  if (label === 'others') return <>{label}</>;
  const [version = '', named = model] = label.split(' ');
  const query = new URLSearchParams({ version, ...(named === '' ? {} : { model: named }) });
  return <Link href={`/devices?${query}`}>{label}</Link>;
}
