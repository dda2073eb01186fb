import type { ExceptionForm } from '../text/filter-lines.ts';
import { TextAreaField, TextField } from './form.tsx';

interface ExceptionFieldsProps {
  /** The filter, as the API names it. */
  readonly name: string;
  readonly form: ExceptionForm;
  readonly change: (form: ExceptionForm) => void;
}

/** Devices that a filter excludes: those for which one of the fields holds. */
export function ExceptionFields({ name, form, change }: ExceptionFieldsProps) {
  const field = (key: keyof ExceptionForm, apiName: string) => ({
    name: `${name}.except.${apiName}`,
    value: form[key],
    onChange: (value: string) => change({ ...form, [key]: value }),
  });
  return (
    <details>
      <summary>Exceptions</summary>
      <p className="hint">A device is excluded if one of these holds.</p>
      <div className="fields">
        <TextField label="Except groups" className="grow" hint="Separated by commas." {...field('groups', 'groups')} />
        <TextField
          label="Except current versions"
          className="grow"
          hint="Separated by commas."
          {...field('versions', 'versions')}
        />
        <TextAreaField
          label="Except ids or MAC addresses"
          className="whole"
          rows={2}
          {...field('devices', 'device_ids')}
        />
        <TextAreaField
          label="Except attributes"
          className="whole"
          hint="name=value, one per line. A device without the attribute is not excluded."
          rows={2}
          {...field('attributes', 'metadata')}
        />
        <TextAreaField
          label="Except facts"
          className="whole"
          hint="name=value, name>=number or name<=number, one per line. A device that does not state the fact is not excluded."
          rows={2}
          {...field('facts', 'facts')}
        />
      </div>
    </details>
  );
}
