import { CheckField, type Options, SelectField, TextField } from '../ui/form.tsx';
import { DAYS, type DraftForm, type StageForm } from './draft.ts';
import { Choices, type DraftProps } from './draft-fields.tsx';

const PACES: Options = [
  ['slow-start', 'slow start: 1%, then up to twice as many each time'],
  ['stages', 'custom stages'],
  ['at-once', 'all devices at once'],
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
      <legend>Strategy</legend>
      <div className="fields">
        <SelectField
          label="Pace"
          className="whole"
          value={form.pace}
          onChange={(pace) => change({ pace: pace as DraftForm['pace'] })}
          options={PACES}
        />
      </div>
      {form.pace === 'stages' && (
        <>
          <StageFields form={form} change={change} />
          <TextField
            label="First stage covers"
            name="first_stage_covers"
            placeholder="e.g. version, facts.board_revision, attributes.site"
            hint="It has a device with each value of these. Empty: its devices are chosen at random."
            value={form.firstStageCovers}
            onChange={(firstStageCovers) => change({ firstStageCovers })}
          />
        </>
      )}
      <div className="fields">
        {number('Failure threshold (%)', 'failure_threshold', 'failurePercent')}
        {number('Minimum results', 'min_reports', 'minReports')}
        {number('Max failures (blank: no limit)', 'failure_count', 'failureCount')}
        {number(
          'Max restarts (times as before)',
          'max_restart_ratio',
          'maxRestartRatio',
          'Empty: restarts do not halt the rollout.',
        )}
      </div>
      <details>
        <summary>Advanced</summary>
        <div className="fields">
          {number('Max in flight', 'max_in_flight', 'maxInFlight', 'Empty: no limit.')}
          <TextField
            label="Max per attribute value"
            name="max_in_flight_per"
            placeholder="e.g. site=2"
            hint="In flight, of the devices with the same value. Empty: no limit."
            value={form.maxInFlightPer}
            onChange={(maxInFlightPer) => change({ maxInFlightPer })}
          />
          {number('Max per minute', 'max_per_minute', 'maxPerMinute', 'Empty: no limit.')}
          {number('Attempts per device', 'max_attempts', 'maxAttempts')}
          {number('Attempt timeout (min)', 'attempt_timeout_minutes', 'attemptTimeout')}
          {number('Boot timeout (min)', 'boot_timeout_minutes', 'bootTimeout')}
          {number('Probation (min)', 'probation_minutes', 'probation')}
          {number('Give up on offline devices after (days)', 'give_up_days', 'giveUpDays')}
          {number('Jitter (min)', 'jitter_minutes', 'jitter', 'Empty: no delay.')}
          <TextField
            label="Starts at"
            name="start_at"
            className="grow"
            type="datetime-local"
            hint="Empty: immediately."
            value={form.startAt}
            onChange={(startAt) => change({ startAt })}
          />
          <TextField
            label="Ends at"
            name="end_at"
            className="grow"
            type="datetime-local"
            hint="Aborted if it has not ended by then. Empty: no end date."
            value={form.endAt}
            onChange={(endAt) => change({ endAt })}
          />
          <TextField
            label="Sends daily from"
            name="send_window"
            placeholder="e.g. 22:00"
            hint="In the time zone of this computer. Empty: always."
            value={form.windowFrom}
            onChange={(windowFrom) => change({ windowFrom })}
          />
          <TextField
            label="until"
            placeholder="e.g. 05:00"
            value={form.windowTo}
            onChange={(windowTo) => change({ windowTo })}
          />
          {number('After rollout (its number)', 'after_rollout_id', 'after', 'Starts once that one has completed.')}
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
          label="Include devices that register later (the rollout never completes)"
          checked={form.keepOpen}
          onChange={(keepOpen) => change({ keepOpen })}
        />
        <CheckField
          label="Include devices on a newer version (downgrade)"
          checked={form.allowDowngrade}
          onChange={(allowDowngrade) => change({ allowDowngrade })}
        />
        <CheckField
          label="Include devices whose version is unknown"
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
  ['group', 'the group (first stages only)'],
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
          waitsForPerson: false,
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
              {...(stage.unit === 'group' ? {} : { type: 'number' as const, min: 0 })}
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
              label="Soak (min)"
              type="number"
              min={0}
              value={stage.soakMinutes}
              onChange={(soakMinutes) => set(stage.id, { soakMinutes })}
            />
            <TextField
              label="Success rate (%)"
              type="number"
              min={0}
              max={100}
              value={stage.successPercent}
              onChange={(successPercent) => set(stage.id, { successPercent })}
            />
            <CheckField
              label="Until a person advances"
              checked={stage.waitsForPerson}
              onChange={(waitsForPerson) => set(stage.id, { waitsForPerson })}
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
      <p className="hint">After the last stage all remaining devices follow.</p>
    </div>
  );
}
