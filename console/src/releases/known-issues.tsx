import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { describeFilter } from '../../../api/describe-filter.ts';
import type { KnownIssue } from '../../../api/known-issues.ts';
import type { TargetFilter } from '../../../api/rollouts.ts';
import { api } from '../data/client.ts';
import { caller } from '../text/format.ts';
import { Ago, Pill } from '../ui/components.tsx';
import { ActionDialog, ReasonDialog } from '../ui/dialog.tsx';
import { SelectField } from '../ui/form.tsx';
import { Loaded } from '../ui/loaded.tsx';
import { Panel } from '../ui/page.tsx';
import { ReachList } from '../ui/reach-list.tsx';
import { IssueEffect, NewIssueDialog } from './new-issue.tsx';

interface PanelProps {
  readonly model: string;
  readonly version: string;
}

/** The known issues that keep devices from a release. */
export function KnownIssuesPanel({ model, version }: PanelProps) {
  const [isAdding, setAdding] = useState(false);
  const issues = useQuery({ queryKey: ['issues', model, version], queryFn: () => api.issues({ model, version }) });
  return (
    <Panel title="Known issues">
      <Loaded of={issues} lines={1}>
        {({ items }) =>
          items.length === 0 ? (
            <p className="calm">None is known.</p>
          ) : (
            <ul className="reasons">
              {items.map((issue) => (
                <IssueLine key={issue.issue_id} issue={issue} />
              ))}
            </ul>
          )
        }
      </Loaded>
      <button type="button" onClick={() => setAdding(true)}>
        Add known issue …
      </button>
      {isAdding && <NewIssueDialog model={model} version={version} onClose={() => setAdding(false)} />}
    </Panel>
  );
}

function IssueLine({ issue }: { readonly issue: KnownIssue }) {
  const [open, setOpen] = useState<'fix' | 'withdraw'>();
  const { issue_id: id, title, link, filter, state, fixed_version: fixed, found_version: found } = issue;
  const close = () => setOpen(undefined);
  return (
    <li>
      <span>
        {id}: {link === null ? title : <a href={link}>{title}</a>}.{' '}
        {state === 'fixed' ? <Pill tone="ok">fixed in {fixed}</Pill> : <Pill tone="warn">open</Pill>} Concerns{' '}
        {describeFilter(filter as TargetFilter, 5)}. Found in {found}, added <Ago at={issue.created_at} /> by{' '}
        {issue.created_by === null ? 'SQL' : caller(issue.created_by)}.
      </span>
      <span className="number">
        {state === 'open' && (
          <button type="button" onClick={() => setOpen('fix')} aria-label={`Fix known issue ${id}`}>
            Fixed …
          </button>
        )}{' '}
        <button type="button" onClick={() => setOpen('withdraw')} aria-label={`Withdraw known issue ${id}`}>
          Withdraw …
        </button>
      </span>
      {open === 'fix' && <FixDialog issue={issue} onClose={close} />}
      {open === 'withdraw' && <WithdrawDialog issue={issue} onClose={close} />}
    </li>
  );
}

interface EndProps {
  readonly issue: KnownIssue;
  readonly onClose: () => void;
}

/** Asks which release fixes an issue, and says which devices are sent which version then. */
function FixDialog({ issue, onClose }: EndProps) {
  const { issue_id: id, device_model: model, found_version: found } = issue;
  const [version, setVersion] = useState('');
  const releases = useQuery({ queryKey: ['releases', model], queryFn: () => api.releases({ model, limit: 100 }) });
  const versions = (releases.data?.items ?? []).map((release) => release.version).filter((each) => each !== found);
  const reach = useQuery({
    queryKey: ['issue', id, version],
    queryFn: () => api.issue(id, version),
    enabled: version !== '',
    staleTime: 0,
  });
  return (
    <ActionDialog
      title={`Known issue ${id} is fixed`}
      button="State the fix"
      ready={reach.data !== undefined}
      act={() => api.fixIssue(id, version)}
      onClose={onClose}
    >
      <p>{issue.title}.</p>
      <SelectField
        label="Release that fixes it"
        name="version"
        value={version}
        onChange={setVersion}
        options={[['', 'Choose a release'], ...versions.map((each) => [each, each] as const)]}
      />
      {version !== '' && <Loaded of={reach}>{({ reached_by: reached }) => <ReachList of={reached} />}</Loaded>}
    </ActionDialog>
  );
}

function WithdrawDialog({ issue: { issue_id: id, title }, onClose }: EndProps) {
  const issue = useQuery({ queryKey: ['issue', id], queryFn: () => api.issue(id), staleTime: 0 });
  return (
    <ReasonDialog
      title={`Withdraw known issue ${id}`}
      button="Withdraw"
      act={(reason) => api.withdrawIssue(id, reason)}
      onClose={onClose}
    >
      <p>{title}.</p>
      <Loaded of={issue} lines={3}>
        {(detail) => (
          <>
            <IssueEffect of={detail} />
            <ReachList of={detail.reached_by} />
          </>
        )}
      </Loaded>
    </ReasonDialog>
  );
}
