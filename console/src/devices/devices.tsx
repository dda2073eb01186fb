import { useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { Link, useSearchParams } from 'wouter';
import type { Device } from '../../../api/devices.ts';
import { api } from '../data/client.ts';
import { itemsOf, usePages } from '../data/pages.ts';
import { byVersion } from '../text/format.ts';
import { Ago, MoreButton, Presence, UpdatePill } from '../ui/components.tsx';
import { useDebounced } from '../ui/debounced.ts';
import { type Options, SelectField, TextField } from '../ui/form.tsx';
import { type Column, ListTable } from '../ui/list-table.tsx';
import { Empty, Loaded } from '../ui/loaded.tsx';
import { Page } from '../ui/page.tsx';

const FILTERS = [
  'search',
  'model',
  'version',
  'group',
  'attribute',
  'fact',
  'online',
  'updating',
  'revoked',
  'unseen',
] as const;
type Filter = (typeof FILTERS)[number];

/** The filters, kept in the address: a filtered list can be linked to, and is in the browser's history. */
function useFilters() {
  const [params, setParams] = useSearchParams();
  const values = Object.fromEntries(FILTERS.map((name) => [name, params.get(name) ?? ''])) as Record<Filter, string>;
  const set = (name: Filter, value: string) =>
    setParams(
      (before) => {
        const after = new URLSearchParams(before);
        if (value === '') after.delete(name);
        else after.set(name, value);
        return after;
      },
      { replace: true },
    );
  return { values, set, clear: () => setParams({}, { replace: true }) };
}

export function DevicesPage() {
  const { values, set, clear } = useFilters();
  const { search, model, version, group, attribute, fact, online, updating, revoked, unseen } = values;
  const devices = usePages(['devices', values], (page) =>
    api.devices({
      ...page,
      search: search || undefined,
      model: model || undefined,
      version: version || undefined,
      group: group || undefined,
      attribute: attribute || undefined,
      fact: fact || undefined,
      online: online || undefined,
      updating: updating || undefined,
      revoked: revoked || undefined,
      not_seen_since: unseen === '' ? undefined : new Date(Date.now() - Number(unseen) * 3_600_000).toISOString(),
    }),
  );
  const isFiltered = Object.values(values).some((value) => value !== '');
  return (
    <Page title="Devices">
      <search className="filters">
        <TypedField
          className="grow"
          label="Search"
          placeholder="Id, its last part, or MAC address"
          value={search}
          onChange={(value) => set('search', value)}
        />
        <FilterFields values={values} set={set} />
        <TypedField
          label="Attribute"
          placeholder="site=rome"
          value={attribute}
          onChange={(value) => set('attribute', value)}
        />
        <TypedField
          label="Fact"
          placeholder="battery_percent<=20"
          value={fact}
          onChange={(value) => set('fact', value)}
        />
      </search>
      <Loaded of={devices} lines={10}>
        {(data) => <DeviceList devices={itemsOf(data)} clear={isFiltered ? clear : undefined} />}
      </Loaded>
      <MoreButton query={devices} />
    </Page>
  );
}

interface TypedFieldProps {
  readonly label: string;
  readonly placeholder: string;
  readonly className?: string;
  readonly value: string;
  readonly onChange: (value: string) => void;
}

/** A text that filters once it is typed. */
function TypedField({ value, onChange, ...shown }: TypedFieldProps) {
  const [text, setText] = useState(value);
  const settled = useDebounced(text.trim());
  // biome-ignore lint/correctness/useExhaustiveDependencies: only typed text changes the address, not the value that is in it
  useEffect(() => {
    if (settled !== value) onChange(settled);
  }, [settled]);
  return <TextField type="search" value={text} onChange={setText} {...shown} />;
}

const YES_OR_NO: Options = [
  ['', 'any'],
  ['true', 'yes'],
  ['false', 'no'],
];
const UNSEEN: Options = [
  ['', 'any time'],
  ['1', 'not for 1 hour'],
  ['24', 'not for 1 day'],
  ['168', 'not for 1 week'],
];

interface FilterFieldsProps {
  readonly values: Readonly<Record<Filter, string>>;
  readonly set: (name: Filter, value: string) => void;
}

function FilterFields({ values, set }: FilterFieldsProps) {
  const fleet = useQuery({ queryKey: ['fleet'], queryFn: api.fleet });
  const groups = useQuery({ queryKey: ['groups'], queryFn: api.groups, refetchInterval: 30_000 });
  const known = fleet.data?.versions ?? [];
  const ofModel = known.filter(({ device_model: model }) => values.model === '' || model === values.model);
  const choices = (name: Filter, known: readonly string[]): Options => {
    // The value in the address is always an option, even if no device has it.
    const all = [...new Set([...known, values[name]])].filter((each) => each !== '');
    return [['', 'any'], ...all.map((each) => [each, each] as const)];
  };
  const models = choices('model', known.map(({ device_model: each }) => each).sort());
  const versions = choices('version', ofModel.map(({ firmware_version: each }) => each).sort(byVersion));
  const named = choices('group', groups.data?.items.map(({ group_name: each }) => each) ?? []);
  const field = (name: Filter, label: string, options: Options) => (
    <SelectField label={label} value={values[name]} onChange={(value) => set(name, value)} options={options} />
  );
  return (
    <>
      {field('model', 'Model', models)}
      {field('version', 'Version', versions)}
      {field('group', 'Group', named)}
      {field('online', 'Online', YES_OR_NO)}
      {field('updating', 'Updating', YES_OR_NO)}
      {field('revoked', 'Revoked', YES_OR_NO)}
      {field('unseen', 'Last seen', UNSEEN)}
    </>
  );
}

interface DeviceListProps {
  readonly devices: readonly Device[];
  /** Removes the filters; undefined when there are none. */
  readonly clear: (() => void) | undefined;
}

function DeviceList({ devices, clear }: DeviceListProps) {
  if (devices.length === 0 && clear !== undefined) {
    return (
      <Empty title="No device matches">
        <button type="button" onClick={clear}>
          Show all devices
        </button>
      </Empty>
    );
  }
  if (devices.length === 0) {
    return (
      <Empty title="No devices yet">
        <p>A device registers itself with its first status message, once it has a certificate.</p>
        <pre>paku-ota device add ESP32-20E955A0</pre>
      </Empty>
    );
  }
  return <ListTable label="Devices" columns={COLUMNS} rows={devices} keyOf={({ device_id: id }) => id} />;
}

const COLUMNS: readonly Column<Device>[] = [
  {
    name: 'Device',
    cell: ({ device_id: id, online }) => (
      <>
        <Presence online={online} /> <Link href={`/devices/${encodeURIComponent(id)}`}>{id}</Link>
      </>
    ),
  },
  { name: 'Model', cell: (device) => device.device_model },
  { name: 'Version', cell: (device) => device.current_firmware_version },
  {
    name: 'Last update',
    kind: 'wide',
    cell: ({ update }) =>
      update && (
        <>
          <UpdatePill update={update} /> {update.firmware_version}
        </>
      ),
  },
  { name: 'Groups', cell: ({ groups }) => groups.join(', ') },
  { name: 'Last seen', cell: (device) => <Ago at={device.last_seen} /> },
];
