import { count } from '../text/format.ts';
import { UPDATE_LABELS, type UpdateState } from '../text/labels.ts';

/** The parts of a bar from left to right. */
const PARTS = ['succeeded', 'in_progress', 'pending', 'canceled', 'failed'] as const;
type Part = (typeof PARTS)[number];
export type Counts = Readonly<Record<Part, number>>;

const NAMES: Readonly<Record<Part, string>> = {
  succeeded: 'succeeded',
  in_progress: 'in progress',
  pending: 'pending',
  canceled: 'canceled',
  failed: 'failed',
};

const PART_OF_TONE = { ok: 'succeeded', busy: 'in_progress', warn: 'pending', bad: 'failed' } as const;

/** Counts by update state as the parts of a bar. */
export function countsOf(states: Readonly<Partial<Record<UpdateState, number>>>): Counts {
  const counts = { succeeded: 0, in_progress: 0, pending: 0, canceled: 0, failed: 0 };
  for (const [state, devices = 0] of Object.entries(states) as [UpdateState, number | undefined][]) {
    const { tone } = UPDATE_LABELS[state];
    const idle = state === 'canceled' ? 'canceled' : 'pending';
    counts[tone === 'idle' ? idle : PART_OF_TONE[tone]] += devices;
  }
  return counts;
}

export const totalOf = (counts: Counts): number => PARTS.reduce((sum, part) => sum + counts[part], 0);

interface BarProps {
  readonly counts: Counts;
  /** The number of devices that fills the bar; at least the sum of the counts. */
  readonly of: number;
  /** Shows the counts as text below the bar. */
  readonly legend?: boolean;
}

/** Outcomes of devices as parts of a bar. */
export function OutcomeBar({ counts, of, legend = false }: BarProps) {
  const parts = PARTS.filter((part) => counts[part] > 0);
  const counted = totalOf(counts);
  const whole = Math.max(of, counted);
  const text = parts.map((part) => `${count(counts[part])} ${NAMES[part]}`).join(', ') || 'nothing yet';
  return (
    <div className="outcome">
      <div className="bar" role="img" aria-label={`Of ${count(whole)} devices: ${text}`}>
        {parts.map((part) => (
          <span key={part} className={part} style={{ flexGrow: counts[part] / whole }} />
        ))}
        <span className="rest" style={{ flexGrow: whole === 0 ? 1 : (whole - counted) / whole }} />
      </div>
      {legend && (
        <ul className="legend" aria-hidden="true">
          {parts.map((part) => (
            <li key={part}>
              <i className={part} />
              {count(counts[part])} {NAMES[part]}
            </li>
          ))}
          {whole > counted && (
            <li>
              <i className="rest" />
              {count(whole - counted)} not assigned
            </li>
          )}
        </ul>
      )}
    </div>
  );
}
