import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Link } from 'wouter';
import type { IssuePreview, NewIssue } from '../../../api/known-issues.ts';
import type { TargetFilter } from '../../../api/rollouts.ts';
import type { Sender } from '../../../api/senders.ts';
import { api } from '../data/client.ts';
import {
  devicesOf,
  type ExceptionForm,
  exceptionsOf,
  NO_EXCEPTIONS,
  namesOf,
  readAttributes,
  readFacts,
} from '../text/filter-lines.ts';
import { counted } from '../text/format.ts';
import { useDebounced } from '../ui/debounced.ts';
import { ActionDialog } from '../ui/dialog.tsx';
import { ExceptionFields } from '../ui/exception-fields.tsx';
import { TextAreaField, TextField } from '../ui/form.tsx';
import { Loaded } from '../ui/loaded.tsx';
import { Warnings } from './verdict.tsx';

interface NewIssueProps {
  readonly model: string;
  readonly version: string;
  readonly onClose: () => void;
}

const EMPTY = { title: '', link: '', groups: '', devices: '', versions: '', attributes: '', facts: '' };
type Form = typeof EMPTY;

/** Adds a known issue to a release, and says in numbers which devices it keeps from it. */
export function NewIssueDialog({ model, version, onClose }: NewIssueProps) {
  const [form, setForm] = useState(EMPTY);
  const [except, setExcept] = useState<ExceptionForm>(NO_EXCEPTIONS);
  const set = (field: keyof Form) => (value: string) => setForm({ ...form, [field]: value });
  const field = (name: keyof Form) => ({ value: form[name], onChange: set(name) });
  const issue = issueOf(form, except, model, version);
  const asked = useDebounced(JSON.stringify({ ...issue, title: 'preview', link: undefined }));
  const effect = useQuery({
    queryKey: ['issue-preview', asked],
    queryFn: () => api.previewIssue(JSON.parse(asked) as NewIssue),
    refetchInterval: false,
    staleTime: 0,
    placeholderData: (before) => before,
  });
  return (
    <ActionDialog
      title={`Known issue of ${model} ${version}`}
      button="Add"
      ready={issue.title !== ''}
      act={() => api.addIssue(issue)}
      onClose={onClose}
    >
      <TextField label="Title" name="title" {...field('title')} />
      <TextField label="Link" name="link" {...field('link')} hint="Where more about it is written. May be empty." />
      <p>The devices that it concerns, if not all of the model:</p>
      <TextField label="Groups" name="filter.groups" {...field('groups')} hint="Any of these, separated by commas." />
      <TextField
        label="Current versions"
        name="filter.versions"
        {...field('versions')}
        hint="Any of these, separated by commas."
      />
      <TextAreaField label="Device ids or MAC addresses" name="filter.device_ids" rows={2} {...field('devices')} />
      <TextAreaField
        label="Attributes"
        name="filter.metadata"
        hint="name=value, one per line. Of lines with the same name, one is enough."
        rows={2}
        {...field('attributes')}
      />
      <TextAreaField
        label="Facts"
        name="filter.facts"
        hint="What devices state: name=value, name>=number or name<=number, one per line."
        rows={2}
        {...field('facts')}
      />
      <ExceptionFields name="filter" form={except} change={setExcept} />
      <Loaded of={effect} lines={2}>
        {(numbers) => (
          <>
            <Warnings of={numbers.warnings} />
            <IssueEffect of={numbers} />
          </>
        )}
      </Loaded>
    </ActionDialog>
  );
}

function issueOf(form: Form, except: ExceptionForm, model: string, version: string): NewIssue {
  const groups = namesOf(form.groups);
  const versions = namesOf(form.versions);
  const metadata = readAttributes(form.attributes);
  const facts = readFacts(form.facts);
  const filter: TargetFilter = {
    ...(groups.length > 0 && { groups }),
    ...(versions.length > 0 && { versions }),
    ...(form.devices.trim() !== '' && devicesOf(form.devices)),
    ...(Object.keys(metadata).length > 0 && { metadata }),
    ...(Object.keys(facts).length > 0 && { facts }),
    ...exceptionsOf(except),
  };
  const link = form.link.trim();
  return {
    device_model: model,
    found_version: version,
    title: form.title.trim(),
    filter: filter as NewIssue['filter'],
    ...(link !== '' && { link }),
  };
}

/** The devices that an issue keeps from its releases, and the recoveries for those that run one. */
export function IssueEffect({ of }: { readonly of: Omit<IssuePreview, 'warnings'> }) {
  const { devices, running, pending, recoverable } = of;
  return (
    <>
      <p>
        <strong>{counted(devices, 'device')}</strong> {devices === 1 ? 'is' : 'are'} sent no release that has it;{' '}
        {counted(pending, 'pending update')} to such a release {pending === 1 ? 'is' : 'are'} not sent.
        {running > 0 &&
          ` ${counted(running, 'device')} of them ${running === 1 ? 'runs' : 'run'} such a release already.`}
      </p>
      {running > 0 && <Senders of={recoverable} />}
    </>
  );
}

/** The rollouts whose recovery sends devices back to the version before. */
export function Senders({ of }: { readonly of: readonly Sender[] }) {
  if (of.length === 0) return null;
  return (
    <>
      <p>To send devices back to the version before, recover these rollouts once they are stopped:</p>
      <ul className="reasons">
        {of.map(({ rollout_id: id, rollout_name: name, firmware_version: version, devices }) => (
          <li key={id}>
            <span>
              {version} by <Link href={`/rollouts/${id}`}>{name}</Link>
            </span>
            <span className="number">{counted(devices, 'device')}</span>
          </li>
        ))}
      </ul>
    </>
  );
}
