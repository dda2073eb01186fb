import { useQuery } from '@tanstack/react-query';
import { api } from '../data/client.ts';
import { byVersion, count } from '../text/format.ts';
import { ExceptionFields } from '../ui/exception-fields.tsx';
import { Field, type Options, SelectField, TextAreaField, TextField } from '../ui/form.tsx';
import { type DraftForm, nameOf } from './draft.ts';

export interface DraftProps {
  readonly form: DraftForm;
  readonly change: (part: Partial<DraftForm>) => void;
}

/** The release, and the name of the rollout. */
export function ReleaseFields({ form, change }: DraftProps) {
  const releases = useQuery({ queryKey: ['releases', 'all'], queryFn: () => api.releases({ limit: 200 }) });
  const usable = releases.data?.items.filter(({ revoked_at: revoked }) => revoked === null) ?? [];
  const listed = usable.map(({ device_model: model, version, devices }) => {
    const text = `${model} ${version}${devices > 0 ? `, on ${count(devices)} already` : ''}`;
    return [`${model}\n${version}`, text] as const;
  });
  const chosen = form.model === '' ? '' : `${form.model}\n${form.version}`;
  const isListed = listed.some(([value]) => value === chosen);
  const first: Options =
    isListed || chosen === '' ? [['', 'choose a release']] : [[chosen, `${form.model} ${form.version}`]];
  const choose = (value: string) => {
    const [model = '', version = ''] = value.split('\n');
    change({ model, version, versions: [] });
  };
  return (
    <fieldset>
      <legend>Release</legend>
      <div className="fields">
        <SelectField
          label="Release"
          name="firmware_version"
          className="grow"
          value={chosen}
          onChange={choose}
          options={[...first, ...listed]}
        />
        <TextField
          label="Name of the rollout"
          name="name"
          className="grow"
          value={form.name}
          placeholder={form.model === '' ? '' : nameOf(form)}
          onChange={(name) => change({ name })}
        />
      </div>
    </fieldset>
  );
}

const TARGETS: Options = [
  ['all', 'all devices of the model'],
  ['group', 'groups'],
  ['specific', 'single devices'],
];

/** The targeted devices. */
export function TargetFields({ form, change }: DraftProps) {
  const fleet = useQuery({ queryKey: ['fleet'], queryFn: api.fleet });
  const groups = useQuery({ queryKey: ['groups'], queryFn: api.groups });
  const versions = (fleet.data?.versions ?? [])
    .filter(({ device_model: model }) => model === form.model)
    .sort((a, b) => byVersion(a.firmware_version, b.firmware_version))
    .map(({ firmware_version: version, devices }) => ({ name: version, devices }));
  const named = groups.data?.items.map(({ group_name: name, devices }) => ({ name, devices })) ?? [];
  return (
    <fieldset>
      <legend>Targets</legend>
      <div className="fields">
        <SelectField
          label="Devices"
          name="target_type"
          className="grow"
          value={form.target}
          onChange={(target) => change({ target: target as DraftForm['target'] })}
          options={TARGETS}
        />
        <TextField
          label="Percentage of devices"
          name="rollout_percentage"
          className="grow"
          type="number"
          min={1}
          max={100}
          value={form.percentage}
          onChange={(percentage) => change({ percentage })}
        />
      </div>
      {form.target === 'group' && (
        <Choices
          label="Groups (any of)"
          name="target_filter"
          of={named}
          chosen={form.groups}
          onChange={(chosen) => change({ groups: chosen })}
          none="No device is in a group yet."
        />
      )}
      {form.target === 'specific' && (
        <TextAreaField
          label="Device ids or MAC addresses"
          name="target_filter"
          hint="Separated by spaces, commas or lines."
          rows={3}
          value={form.devices}
          onChange={(devices) => change({ devices })}
        />
      )}
      <Choices
        label="Current version (none chosen: any)"
        name="target_filter.versions"
        of={versions}
        chosen={form.versions}
        onChange={(chosen) => change({ versions: chosen })}
        none={form.model === '' ? 'Choose a release first.' : `No device of model ${form.model} is registered.`}
      />
      <TextAreaField
        label="Attributes"
        name="target_filter.metadata"
        hint="name=value, one per line. Of lines with the same name, one is enough."
        rows={2}
        value={form.attributes}
        onChange={(attributes) => change({ attributes })}
      />
      <TextAreaField
        label="Facts"
        name="target_filter.facts"
        hint="What devices state: name=value, name>=number or name<=number, one per line."
        rows={2}
        value={form.facts}
        onChange={(facts) => change({ facts })}
      />
      <ExceptionFields name="target_filter" form={form.except} change={(except) => change({ except })} />
    </fieldset>
  );
}

interface ChoicesProps {
  readonly label: string;
  readonly name: string;
  readonly of: readonly { readonly name: string; readonly devices?: number }[];
  readonly chosen: readonly string[];
  readonly onChange: (chosen: readonly string[]) => void;
  /** Shown when there is nothing to choose from. */
  readonly none?: string;
}

/** A choice of any number of names. */
export function Choices({ label, name, of, chosen, onChange, none }: ChoicesProps) {
  const toggle = (each: string) =>
    onChange(chosen.includes(each) ? chosen.filter((other) => other !== each) : [...chosen, each]);
  return (
    <Field label={label} name={name}>
      {({ id, ...labelling }) => (
        <fieldset className="choices" id={id} aria-label={label} {...labelling}>
          {of.length === 0 && <span className="muted">{none}</span>}
          {of.map((each) => (
            <label key={each.name} className="choice">
              <input type="checkbox" checked={chosen.includes(each.name)} onChange={() => toggle(each.name)} />
              {each.name} {each.devices !== undefined && <span className="muted">{count(each.devices)}</span>}
            </label>
          ))}
        </fieldset>
      )}
    </Field>
  );
}
