import { useState } from 'react';
import { formatLimitPer } from '../../../api/limit-per-text.ts';
import type { Rollout, RolloutChange } from '../../../api/rollouts.ts';
import { api } from '../data/client.ts';
import { ActionDialog } from '../ui/dialog.tsx';
import { TextField } from '../ui/form.tsx';
import { limitPerOf, shareOf } from './draft.ts';

const text = (value: number | null) => (value === null ? '' : String(value));
const orNull = (value: string) => (value.trim() === '' ? null : Number(value));

/** The limits that may be changed while a rollout runs. The API refuses the change if the rollout was changed meanwhile. */
export function LimitsDialog({ rollout, onClose }: { readonly rollout: Rollout; readonly onClose: () => void }) {
  const [before] = useState(rollout);
  const [typed, setTyped] = useState({
    failurePercent: String(Number((before.failure_threshold * 100).toFixed(4))),
    failureCount: text(before.failure_count),
    maxRestartRatio: text(before.max_restart_ratio),
    minReports: String(before.min_reports),
    maxInFlight: text(before.max_in_flight),
    maxInFlightPer: formatLimitPer(before.max_in_flight_per),
    maxPerMinute: text(before.max_per_minute),
  });
  const change: RolloutChange = {
    failure_threshold: shareOf(typed.failurePercent) ?? before.failure_threshold,
    failure_count: orNull(typed.failureCount),
    max_restart_ratio: orNull(typed.maxRestartRatio),
    min_reports: orNull(typed.minReports) ?? before.min_reports,
    max_in_flight: orNull(typed.maxInFlight),
    max_in_flight_per: limitPerOf(typed.maxInFlightPer),
    max_per_minute: orNull(typed.maxPerMinute),
  };
  const field = (label: string, name: keyof RolloutChange, key: keyof typeof typed) => (
    <TextField
      label={label}
      name={name}
      type="number"
      min={0}
      value={typed[key]}
      onChange={(value) => setTyped({ ...typed, [key]: value })}
    />
  );
  return (
    <ActionDialog
      title={`Limits of ${before.name}`}
      button="Change"
      act={() => api.changeRollout(before.rollout_id, before.updated_at, change)}
      onClose={onClose}
    >
      <div className="fields">
        {field('Failure threshold (%)', 'failure_threshold', 'failurePercent')}
        {field('Minimum results', 'min_reports', 'minReports')}
        {field('Max failures (blank: no limit)', 'failure_count', 'failureCount')}
        {field('Max restarts (times as before)', 'max_restart_ratio', 'maxRestartRatio')}
        {field('Max in flight', 'max_in_flight', 'maxInFlight')}
        <TextField
          label="Max per attribute value"
          name="max_in_flight_per"
          placeholder="e.g. site=2"
          value={typed.maxInFlightPer}
          onChange={(maxInFlightPer) => setTyped({ ...typed, maxInFlightPer })}
        />
        {field('Max per minute', 'max_per_minute', 'maxPerMinute')}
      </div>
      <p className="hint">Empty means no limit.</p>
    </ActionDialog>
  );
}
