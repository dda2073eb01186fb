import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Link } from 'wouter';
import type { DeviceDetail, Explanation } from '../../../api/devices.ts';
import { api, isNotFound, messageOf } from '../api.ts';
import { capital, dateTime } from '../format.ts';
import { Ago } from '../parts/bits.tsx';
import { Loaded } from '../parts/loaded.tsx';
import { Panel } from '../parts/page.tsx';

/** Why is it not on 2.4? */
export function Explain({ device: { device_id: id, device_model: model } }: { readonly device: DeviceDetail }) {
  const releases = useQuery({ queryKey: ['releases', model], queryFn: () => api.releases({ model, limit: 200 }) });
  const [asked, ask] = useState<string>();
  const versions = releases.data?.items.map(({ version }) => version) ?? [];
  const version = asked ?? versions[0];
  const explanation = useQuery({
    queryKey: ['explain', id, version],
    queryFn: () => api.explain(id, version === undefined ? {} : { version }),
    enabled: releases.data !== undefined,
  });
  return (
    <Panel
      title="Why, or why not"
      className="explain"
      aside={
        versions.length > 0 && (
          <label className="inline">
            version{' '}
            <select value={version} onChange={(event) => ask(event.target.value)}>
              {versions.map((each) => (
                <option key={each}>{each}</option>
              ))}
            </select>
          </label>
        )
      }
    >
      {isNotFound(explanation.error) ? (
        <p className="calm">{messageOf(explanation.error)} Nobody has asked for it to be sent.</p>
      ) : (
        <Loaded of={explanation} lines={3}>
          {(data) => <Answer id={id} explanation={data} />}
        </Loaded>
      )}
    </Panel>
  );
}

function Answer({ id, explanation }: { readonly id: string; readonly explanation: Explanation }) {
  const { rule, since, next, rollout_id: rollout, rollout_name: name } = explanation;
  return (
    <div className="answer">
      <p className="rule">
        {id} {readable(rule)}
        {/[.!?]$/.test(rule) ? '' : '.'}
      </p>
      <dl className="facts">
        <div>
          <dt>Since</dt>
          <dd>
            <Ago at={since} never="–" />
          </dd>
        </div>
        <div>
          <dt>Next</dt>
          <dd>{capital(readable(next))}</dd>
        </div>
        <div>
          <dt>By rollout</dt>
          <dd>
            <Link href={`/rollouts/${rollout}`}>{name}</Link>
          </dd>
        </div>
      </dl>
    </div>
  );
}

/** Times within sentences are meant for any reader; here they are of the reader's zone. */
const readable = (text: string) => text.replaceAll(/\d{4}-\d\d-\d\dT[\d:]+(?:\.\d+)?Z/g, (time) => dateTime(time));
