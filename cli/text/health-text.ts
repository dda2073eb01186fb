import type { ReleaseHealth, VersionHealth } from '../../api/releases.ts';
import type { RolloutHealth } from '../../api/rollouts.ts';
import { red } from './style.ts';
import { table } from './table.ts';
import { count } from './units.ts';

interface Row {
  readonly name: string;
  readonly health: VersionHealth;
}

/** The health of a version and of the one before, as a table with a heading. */
export function healthText({ version, before }: ReleaseHealth): string[] {
  const rows: Row[] = [
    { name: version.firmware_version, health: version },
    ...(before === null ? [] : [{ name: `${before.firmware_version} (before)`, health: before }]),
  ];
  return [
    'Release health',
    ...table(rows, [
      { head: 'VERSION', value: ({ name }) => name },
      { head: 'DEVICES', value: ({ health }) => health.devices, align: 'right' },
      { head: 'DEVICE-HOURS', value: ({ health }) => rounded(health.device_hours), align: 'right' },
      { head: 'RESTARTS/H', value: ({ health }) => rate(health.restarts_per_device_hour), align: 'right' },
      { head: 'SILENT', value: ({ health }) => silentText(health), align: 'right' },
    ]),
  ];
}

/** The same for a rollout, with what its gate reads. */
export function rolloutHealthText(health: RolloutHealth): string[] {
  return [...healthText(health), comparisonText(health.comparison)];
}

const STATES: Readonly<Record<RolloutHealth['comparison']['state'], string>> = {
  unchecked: 'restarts do not halt this rollout',
  too_little_exposure: 'too little exposure to tell',
  within_limit: 'within the limit of the rollout',
  above_limit: red('above the limit of the rollout'),
};

function comparisonText(compared: RolloutHealth['comparison']): string {
  const { devices, device_hours: hours, device_hours_before: before, state } = compared;
  if (devices === 0) return 'No device of this rollout has booted the release.';
  const now = `${rate(compared.restarts_per_device_hour)} restarts an hour (${count(devices, 'device')}, ${rounded(hours)} device-hours)`;
  const then = `${rate(compared.restarts_per_device_hour_before)} before (${rounded(before)} device-hours)`;
  return `The devices of this rollout: ${now}, ${then}: ${STATES[state]}.`;
}

const silentText = ({ silent, heard_of: of }: VersionHealth): string => (of === 0 ? '–' : `${silent} of ${of}`);

/** Two significant digits. */
const rate = (value: number | null): string => (value === null ? '–' : String(Number(value.toPrecision(2))));

const rounded = (hours: number): string => (hours >= 10 ? String(Math.round(hours)) : String(Number(hours.toFixed(1))));
