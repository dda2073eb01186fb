import type { Fleet, VersionHistory } from '../../../api/service.ts';
import type { Series } from '../charts/index.ts';
import { byVersion } from '../text/format.ts';

/** The most series that have distinguishable colours. */
const SHOWN = 7;
const OTHERS = 'others';

export interface VersionSeries {
  /** Seconds since 1970. */
  readonly times: readonly number[];
  /** By version, the newest first. */
  readonly series: readonly Series[];
}

/**
 * Devices by version over time, with the present as the last point.
 * @param model only devices of this model; undefined for all models, each with a series for each of its versions
 */
export function versionSeries(
  history: VersionHistory,
  fleet: Fleet,
  model: string | undefined,
  now: Date,
): VersionSeries {
  const present = fleet.versions.map((version) => ({ ...version, at: now.toISOString() }));
  const samples = [...history.items, ...present].filter(
    (sample) => model === undefined || sample.device_model === model,
  );
  const isMixed = new Set(samples.map((sample) => sample.device_model)).size > 1;
  const nameOf = (sample: (typeof samples)[number]) =>
    isMixed ? `${sample.firmware_version} ${sample.device_model}` : sample.firmware_version;
  const moments = [...new Set(samples.map(({ at }) => at))].sort();
  const shown = largest(samples.map((sample) => ({ name: nameOf(sample), devices: sample.devices })));

  const rows = new Map([...shown].sort(byVersion).map((name) => [name, moments.map(() => 0)]));
  const others = moments.map(() => 0);
  const column = new Map(moments.map((at, index) => [at, index]));
  for (const sample of samples) {
    const row = rows.get(nameOf(sample)) ?? others;
    const at = column.get(sample.at) ?? 0;
    row[at] = (row[at] ?? 0) + sample.devices;
  }
  const series = [...rows].map(([label, values], index) => ({ label, values, colour: `--chart-${index + 1}` }));
  const rest = others.some((devices) => devices > 0)
    ? [{ label: OTHERS, values: others, colour: '--chart-others' }]
    : [];
  return { times: moments.map((at) => new Date(at).getTime() / 1000), series: [...series, ...rest] };
}

/** The series with the highest peaks. */
function largest(counts: readonly { readonly name: string; readonly devices: number }[]): Set<string> {
  const peaks = new Map<string, number>();
  for (const { name, devices } of counts) peaks.set(name, Math.max(devices, peaks.get(name) ?? 0));
  const ranked = [...peaks].sort(([, a], [, b]) => b - a).map(([name]) => name);
  return new Set(ranked.slice(0, SHOWN));
}
