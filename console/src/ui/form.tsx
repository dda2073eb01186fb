import { createContext, type ReactNode, useContext, useId } from 'react';
import { ApiError } from '../../../api/client.ts';

/** The service's errors by field, named as in the API. */
export type FieldErrors = Readonly<Record<string, string>>;

export function fieldErrorsOf(error: unknown): FieldErrors {
  if (!(error instanceof ApiError)) return {};
  return Object.fromEntries((error.problem.errors ?? []).map(({ field, message }) => [field, message]));
}

const Errors = createContext<FieldErrors>({});
export const FormErrors = Errors.Provider;

interface Labelling {
  readonly id: string;
  readonly 'aria-describedby': string | undefined;
  readonly 'aria-invalid': boolean | undefined;
}

interface FieldProps {
  readonly label: string;
  /** Its name in the API. The field shows the errors of that name and of names within it (`stages.0.percentage`). */
  readonly name?: string;
  readonly hint?: string;
  readonly className?: string;
  readonly children: (labelling: Labelling) => ReactNode;
}

/** A labelled input with its hint and its errors. */
export function Field({ label, name, hint, className = '', children }: FieldProps) {
  const id = useId();
  const errors = useContext(Errors);
  const message = Object.entries(errors)
    .filter(([field]) => name !== undefined && (field === name || field.startsWith(`${name}.`)))
    .map(([, text]) => text)
    .join('; ');
  const described = [hint && `${id}-hint`, message && `${id}-error`].filter(Boolean).join(' ');
  return (
    <div className={`field ${className}`}>
      <label htmlFor={id}>{label}</label>
      {children({ id, 'aria-describedby': described || undefined, 'aria-invalid': message !== '' || undefined })}
      {hint && (
        <p className="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      {message && (
        <p className="field-error" id={`${id}-error`} role="alert">
          {message}
        </p>
      )}
    </div>
  );
}

interface TextFieldProps extends Omit<FieldProps, 'children'> {
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly placeholder?: string;
  readonly required?: boolean;
  readonly type?: 'text' | 'number' | 'search' | 'datetime-local';
  readonly min?: number;
  readonly max?: number;
  readonly suggestions?: readonly string[];
}

export function TextField({ value, onChange, suggestions, type = 'text', ...rest }: TextFieldProps) {
  const { placeholder, required, min, max, ...field } = rest;
  return (
    <Field {...field}>
      {(labelling) => (
        <>
          <input
            {...labelling}
            {...{ type, value, placeholder, required, min, max }}
            list={suggestions && `${labelling.id}-list`}
            autoComplete="off"
            spellCheck={false}
            onChange={(event) => onChange(event.target.value)}
          />
          {suggestions && (
            <datalist id={`${labelling.id}-list`}>
              {suggestions.map((each) => (
                <option key={each} value={each} />
              ))}
            </datalist>
          )}
        </>
      )}
    </Field>
  );
}

interface TextAreaFieldProps extends Omit<FieldProps, 'children'> {
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly rows: number;
}

/** A field of several lines. */
export function TextAreaField({ value, onChange, rows, ...field }: TextAreaFieldProps) {
  return (
    <Field {...field}>
      {(labelling) => (
        <textarea {...labelling} rows={rows} value={value} onChange={(event) => onChange(event.target.value)} />
      )}
    </Field>
  );
}

export type Options = readonly (readonly [value: string, text: string])[];

interface SelectFieldProps extends Omit<FieldProps, 'children'> {
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly options: Options;
}

export function SelectField({ value, onChange, options, ...field }: SelectFieldProps) {
  return (
    <Field {...field}>
      {(labelling) => (
        <select {...labelling} value={value} onChange={(event) => onChange(event.target.value)}>
          {options.map(([each, text]) => (
            <option key={each} value={each}>
              {text}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

interface CheckFieldProps {
  readonly label: string;
  readonly checked: boolean;
  readonly onChange: (checked: boolean) => void;
}

export function CheckField({ label, checked, onChange }: CheckFieldProps) {
  return (
    <label className="check">
      <input type="checkbox" checked={checked} onChange={(event) => onChange(event.target.checked)} />
      {label}
    </label>
  );
}
