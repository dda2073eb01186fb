import { useQuery } from '@tanstack/react-query';
import type { ReleaseHealth, VersionHealth } from '../../../api/releases.ts';
import type { RolloutHealth } from '../../../api/rollouts.ts';
import { api } from '../data/client.ts';
import { count, counted, percent } from '../text/format.ts';
import type { Tone } from '../text/labels.ts';
import { Pill } from '../ui/components.tsx';
import { type Column, ListTable } from '../ui/list-table.tsx';
import { Loaded } from '../ui/loaded.tsx';
import { Panel } from '../ui/page.tsx';

/** The health of a release in the fleet, beside the version before. */
export function ReleaseHealthPanel({ model, version }: { readonly model: string; readonly version: string }) {
  const health = useQuery({
    queryKey: ['health', model, version],
    queryFn: () => api.releaseHealth(model, version),
    refetchInterval: HEALTH_POLL_MS,
  });
  return (
    <Panel title="Release health">
      <Loaded of={health} lines={3}>
        {(shown) => <Versions health={shown} />}
      </Loaded>
    </Panel>
  );
}

/** The same for a rollout, with what its gate reads. */
export function RolloutHealthPanel({ rollout }: { readonly rollout: number }) {
  const health = useQuery({
    queryKey: ['rollout-health', rollout],
    queryFn: () => api.rolloutHealth(rollout),
    refetchInterval: HEALTH_POLL_MS,
  });
  return (
    <Panel title="Release health">
      <Loaded of={health} lines={4}>
        {(shown) => (
          <>
            <Comparison of={shown.comparison} />
            <Versions health={shown} />
          </>
        )}
      </Loaded>
    </Panel>
  );
}

/** Health changes slowly, and reading it goes through thousands of devices. */
const HEALTH_POLL_MS = 30_000;

interface Row {
  readonly name: string;
  readonly health: VersionHealth;
}

const COLUMNS: readonly Column<Row>[] = [
  { name: 'Version', cell: ({ name }) => name },
  { name: 'Devices', kind: 'number', cell: ({ health }) => count(health.devices) },
  { name: 'Device-hours', kind: 'number', cell: ({ health }) => hours(health.device_hours) },
  { name: 'Restarts per hour', kind: 'number', cell: ({ health }) => rate(health.restarts_per_device_hour) },
  { name: 'Silent', kind: 'number', cell: ({ health }) => silentText(health) },
];

function Versions({ health: { version, before } }: { readonly health: ReleaseHealth }) {
  const rows: Row[] = [
    { name: version.firmware_version, health: version },
    ...(before === null ? [] : [{ name: `${before.firmware_version} (before)`, health: before }]),
  ];
  return <ListTable label="Versions" columns={COLUMNS} rows={rows} keyOf={({ name }) => name} />;
}

const silentText = ({ silent, heard_of: heard }: VersionHealth) =>
  heard === 0 ? '–' : `${percent(silent, heard)} of ${count(heard)}`;

const STATES: Readonly<Record<RolloutHealth['comparison']['state'], readonly [Tone, string]>> = {
  unchecked: ['idle', 'not checked'],
  too_little_exposure: ['idle', 'too little exposure'],
  within_limit: ['ok', 'within the limit'],
  above_limit: ['bad', 'above the limit'],
};

function Comparison({ of }: { readonly of: RolloutHealth['comparison'] }) {
  if (of.devices === 0) return <p className="calm">No device of this rollout has booted the release.</p>;
  const [tone, text] = STATES[of.state];
  return (
    <p>
      The devices of this rollout restart {rate(of.restarts_per_device_hour)} times per hour (
      {counted(of.devices, 'device')}, {hours(of.device_hours)} device-hours), and{' '}
      {rate(of.restarts_per_device_hour_before)} times before ({hours(of.device_hours_before)} device-hours).{' '}
      <Pill tone={tone}>{text}</Pill>
    </p>
  );
}

/** Two significant digits. */
const rate = (value: number | null) => (value === null ? '–' : String(Number(value.toPrecision(2))));

const hours = (value: number) => (value >= 10 ? count(Math.round(value)) : String(Number(value.toFixed(1))));
