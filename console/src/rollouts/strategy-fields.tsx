import { CheckField, type Options, SelectField, TextField } from '../ui/form.tsx';
import { DAYS, type DraftForm, type StageForm } from './draft.ts';
import { Choices, type DraftProps } from './draft-fields.tsx';

const PACES: Options = [
  ['slow-start', 'slow start: 1 %, then twice as many each time'],
  ['stages', 'stages of my own'],
  ['at-once', 'everyone at once'],
];

/** The strategy: stages, failure threshold, limits and times. */
export function StrategyFields({ form, change }: DraftProps) {
  const number = (label: string, name: string, field: keyof DraftForm, hint?: string) => (
    <TextField
      {...{ label, name }}
      {...(hint === undefined ? {} : { hint })}
      type="number"
      min={0}
      value={String(form[field])}
      onChange={(value) => change({ [field]: value })}
    />
  );
  return (
    <fieldset>
      <legend>How</legend>
      <div className="fields">
        <SelectField
          label="Pace"
          className="whole"
          value={form.pace}
          onChange={(pace) => change({ pace: pace as DraftForm['pace'] })}
          options={PACES}
        />
      </div>
      {form.pace === 'stages' && <StageFields form={form} change={change} />}
      <div className="fields">
        {number('Halts above (% failed)', 'failure_threshold', 'failurePercent')}
        {number('Once so many ended', 'min_reports', 'minReports')}
        {number('Or at so many failures', 'failure_count', 'failureCount', 'Empty: whatever their number.')}
        {number(
          'Max restarts (times as before)',
          'max_restart_ratio',
          'maxRestartRatio',
          'Empty: restarts do not halt the rollout.',
        )}
      </div>
      <details>
        <summary>Limits, times and exceptions</summary>
        <div className="fields">
          {number('At most at the same time', 'max_in_flight', 'maxInFlight', 'Empty: no limit.')}
          {number('At most in a minute', 'max_per_minute', 'maxPerMinute', 'Empty: no limit.')}
          {number('Attempts a device', 'max_attempts', 'maxAttempts')}
          {number('Minutes without news that end an attempt', 'attempt_timeout_minutes', 'attemptTimeout')}
          {number('Boot timeout (min)', 'boot_timeout_minutes', 'bootTimeout')}
          {number('Probation (min)', 'probation_minutes', 'probation')}
          {number('Give up on offline devices after (days)', 'give_up_days', 'giveUpDays')}
          {number('Spread each send over minutes', 'jitter_minutes', 'jitter', 'Empty: as soon as may be.')}
          <TextField
            label="Starts at"
            name="start_at"
            className="grow"
            type="datetime-local"
            hint="Empty: at once."
            value={form.startAt}
            onChange={(startAt) => change({ startAt })}
          />
          <TextField
            label="Sends daily from"
            name="send_window"
            placeholder="e.g. 22:00"
            hint="Of this computer's time zone. Empty: always."
            value={form.windowFrom}
            onChange={(windowFrom) => change({ windowFrom })}
          />
          <TextField
            label="until"
            placeholder="e.g. 05:00"
            value={form.windowTo}
            onChange={(windowTo) => change({ windowTo })}
          />
          {number(
            'Priority',
            'priority',
            'priority',
            'Of two rollouts, the one with the higher priority gets a device. Empty: 0.',
          )}
        </div>
        <Choices
          label="Only on these days (none chosen: daily)"
          name="send_window.days"
          of={DAYS.map((name) => ({ name }))}
          chosen={form.windowDays}
          onChange={(chosen) => change({ windowDays: DAYS.filter((day) => chosen.includes(day)) })}
        />
        <CheckField
          label="Devices that join later are taken in; it never completes"
          checked={form.keepOpen}
          onChange={(keepOpen) => change({ keepOpen })}
        />
        <CheckField
          label="Also devices on a newer version (downgrade)"
          checked={form.allowDowngrade}
          onChange={(allowDowngrade) => change({ allowDowngrade })}
        />
        <CheckField
          label="Also devices whose version is unknown"
          checked={form.includeUnknown}
          onChange={(includeUnknown) => change({ includeUnknown })}
        />
      </details>
    </fieldset>
  );
}

const UNITS: Options = [
  ['percentage', '% of the devices'],
  ['count', 'devices'],
];

function StageFields({ form: { stages }, change }: DraftProps) {
  const set = (id: number, part: Partial<StageForm>) =>
    change({ stages: stages.map((stage) => (stage.id === id ? { ...stage, ...part } : stage)) });
  const add = () => {
    const id = Math.max(0, ...stages.map((stage) => stage.id)) + 1;
    const last = stages.at(-1);
    change({
      stages: [
        ...stages,
        {
          id,
          unit: last?.unit ?? 'percentage',
          amount: '',
          soakMinutes: last?.soakMinutes ?? '60',
          successPercent: '95',
        },
      ],
    });
  };
  return (
    <div className="stage-fields">
      <ol>
        {stages.map((stage, index) => (
          <li key={stage.id} aria-label={`Stage ${index + 1}`}>
            <TextField
              label="Up to"
              name={`stages.${index}`}
              type="number"
              min={0}
              value={stage.amount}
              onChange={(amount) => set(stage.id, { amount })}
            />
            <SelectField
              label="of"
              value={stage.unit}
              onChange={(unit) => set(stage.id, { unit: unit as StageForm['unit'] })}
              options={UNITS}
            />
            <TextField
              label="Rest (min)"
              type="number"
              min={0}
              value={stage.soakMinutes}
              onChange={(soakMinutes) => set(stage.id, { soakMinutes })}
            />
            <TextField
              label="From % success"
              type="number"
              min={0}
              max={100}
              value={stage.successPercent}
              onChange={(successPercent) => set(stage.id, { successPercent })}
            />
            <button
              type="button"
              className="link"
              aria-label={`Remove stage ${index + 1}`}
              onClick={() => change({ stages: stages.filter(({ id }) => id !== stage.id) })}
            >
              Remove
            </button>
          </li>
        ))}
      </ol>
      <button type="button" onClick={add}>
        Add a stage
      </button>
      <p className="hint">After the last of them everyone else follows.</p>
    </div>
  );
}
