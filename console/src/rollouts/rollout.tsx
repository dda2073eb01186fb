import { useQuery } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { Link } from 'wouter';
import { describeFilter } from '../../../api/describe-filter.ts';
import { describePlan } from '../../../api/describe-plan.ts';
import type { Progress, Rollout } from '../../../api/rollouts.ts';
import { api } from '../data/client.ts';
import { RolloutHealthPanel, releasePath } from '../releases/index.ts';
import { caller, capital, dateTime, withLocalTimes } from '../text/format.ts';
import { ROLLOUT_TONES } from '../text/labels.ts';
import { Ago, Facts, RolloutPill } from '../ui/components.tsx';
import { Loaded } from '../ui/loaded.tsx';
import { Page, Panel } from '../ui/page.tsx';
import { ApprovalNotice } from './approval.tsx';
import { Controls } from './controls.tsx';
import { decisionText } from './decision-text.ts';
import { EligibleDevicesOnDemand } from './eligible-devices.tsx';
import { Decisions, Failures } from './history.tsx';
import { Outcomes } from './outcomes.tsx';
import { Recoveries } from './recover.tsx';
import { Stages } from './stages.tsx';
import { Updates } from './updates.tsx';

const PARENT = { name: 'Rollouts', href: '/rollouts' };

/** @param id the id or the name of the rollout; the API accepts both */
export function RolloutPage({ id }: { readonly id: string }) {
  const rollout = useQuery({ queryKey: ['rollout', id], queryFn: () => api.rollout(id) });
  const progress = useQuery({ queryKey: ['progress', id], queryFn: () => api.progress(id) });
  const { data } = rollout;
  return (
    <Page
      title={data?.name ?? `Rollout ${id}`}
      parent={PARENT}
      aside={data && <RolloutPill state={data.state} />}
      actions={data && <Controls rollout={data} />}
    >
      <Loaded of={rollout} lines={10}>
        {(shown) => (
          <>
            <Summary rollout={shown} />
            <Situation rollout={shown} />
            {shown.approval && <ApprovalNotice rollout={shown} approval={shown.approval} />}
            <Loaded of={progress} lines={6}>
              {(numbers) => <Body rollout={shown} progress={numbers} />}
            </Loaded>
          </>
        )}
      </Loaded>
    </Page>
  );
}

function Body({ rollout, progress }: { readonly rollout: Rollout; readonly progress: Progress }) {
  const hasBegun = rollout.devices > 0 || progress.stages.length > 0;
  return (
    <>
      <Recoveries rollout={rollout} />
      <div className="two-columns">
        <div>
          <Panel title="Stages">
            <Stages rollout={rollout} progress={progress} />
          </Panel>
          {hasBegun && (
            <Panel title="Outcomes over time">
              <Outcomes rollout={rollout} progress={progress} />
            </Panel>
          )}
        </div>
        <div>
          {hasBegun && <RolloutHealthPanel rollout={rollout.rollout_id} />}
          {hasBegun && (
            <Panel title="Failures by reason">
              <Failures of={progress.failures} />
            </Panel>
          )}
          <Panel title="Activity">
            <Decisions id={rollout.rollout_id} />
          </Panel>
          <Plan rollout={rollout} />
        </div>
      </div>
      <EligibleDevicesOnDemand rollout={rollout} />
      {hasBegun && <Updates rollout={rollout} />}
    </>
  );
}

function Plan({ rollout }: { readonly rollout: Rollout }) {
  return (
    <Panel title="Plan">
      <Facts
        of={describePlan({ ...rollout, is_active: rollout.state !== 'draft' }, dateTime).map(([name, value]) => ({
          name: capital(name),
          value,
        }))}
      />
    </Panel>
  );
}

function Summary({ rollout }: { readonly rollout: Rollout }) {
  const { device_model, firmware_version: version, created_by: by, created_at: at } = rollout;
  return (
    <p className="summary">
      <Link href={releasePath({ device_model, version })}>
        {device_model} {version}
      </Link>{' '}
      for {targetOf(rollout)}
      {steppingStonesOf(rollout)}; created <Ago at={at} />
      {by !== null && ` by ${caller(by)}`}. <Link href={`/rollouts/${rollout.rollout_id}/report`}>Report</Link>
    </p>
  );
}

const steppingStonesOf = ({ stepping_stones: steps }: Rollout): string =>
  steps === null || steps.length === 0 ? '' : `, older devices by way of ${steps.join(', ')}`;

/** The most values of a condition that fit the line. */
const MOST_VALUES = 3;

const targetOf = ({ target_filter: filter, rollout_percentage: percentage }: Rollout): string =>
  describeFilter(filter, MOST_VALUES) + (percentage < 100 ? ` (${percentage}% of them)` : '');

/** The state of the rollout and its reason, as a sentence. */
function Situation({ rollout }: { readonly rollout: Rollout }) {
  const { state, paused_reason: reason, paused_by: by, paused_at: at, waiting_for: waiting } = rollout;
  if (state === 'halted' || state === 'paused' || state === 'aborted') {
    const { what, who } = decisionText(`rollout_${state}`, by);
    return (
      <Notice tone={ROLLOUT_TONES[state]}>
        <strong>{what}</strong> {who}
        {at !== null && `, ${dateTime(at)}`}: {reason ?? 'no reason given'}.
      </Notice>
    );
  }
  // The notice of what waits for approval says the rest.
  if (state === 'draft' && rollout.approval !== null) return null;
  if (state === 'draft') return <Notice tone="idle">A draft: nothing is sent before it is started.</Notice>;
  if (state === 'scheduled' && rollout.start_at !== null) {
    return <Notice tone="idle">Starts {dateTime(rollout.start_at)}.</Notice>;
  }
  return waiting === null || waiting === 'active' ? null : (
    <Notice tone="busy">{capital(withLocalTimes(waiting))}.</Notice>
  );
}

function Notice({ tone, children }: { readonly tone: string; readonly children: ReactNode }) {
  return (
    <div className={`notice ${tone}`}>
      <p>{children}</p>
    </div>
  );
}
