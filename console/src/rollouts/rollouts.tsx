import { Link, useSearchParams } from 'wouter';
import { api } from '../data/client.ts';
import { itemsOf, usePages } from '../data/pages.ts';
import { ROLLOUT_TONES } from '../text/labels.ts';
import { MoreButton } from '../ui/components.tsx';
import { Empty, Loaded } from '../ui/loaded.tsx';
import { Page } from '../ui/page.tsx';
import { RolloutTable } from './rollout-table.tsx';

const STATES = Object.keys(ROLLOUT_TONES);

export function RolloutsPage() {
  const [params, setParams] = useSearchParams();
  const state = params.get('state') ?? '';
  const rollouts = usePages(['rollouts', state], (page) => api.rollouts({ ...page, state: state || undefined }));
  return (
    <Page
      title="Rollouts"
      actions={
        <Link className="button primary" href="/rollouts/new">
          New rollout …
        </Link>
      }
    >
      <fieldset className="segments" aria-label="State">
        {['', ...STATES].map((each) => (
          <button
            key={each}
            type="button"
            aria-pressed={each === state}
            onClick={() => setParams(each === '' ? {} : { state: each }, { replace: true })}
          >
            {each || 'all'}
          </button>
        ))}
      </fieldset>
      <Loaded of={rollouts} lines={8}>
        {(data) => {
          const items = itemsOf(data);
          if (items.length > 0) return <RolloutTable rollouts={items} />;
          return (
            <Empty title={state === '' ? 'No rollout yet' : `No rollout is ${state}`}>
              {state === '' && <p>A rollout sends a release to the devices that it targets, in stages.</p>}
            </Empty>
          );
        }}
      </Loaded>
      <MoreButton query={rollouts} />
    </Page>
  );
}
