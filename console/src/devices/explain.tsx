import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Link } from 'wouter';
import type { DeviceDetail, Explanation } from '../../../api/devices.ts';
import { api, isNotFound, messageOf } from '../api.ts';
import { capital, withLocalTimes } from '../format.ts';
import { Ago } from '../parts/bits.tsx';
import { useLastError } from '../parts/last-error.ts';
import { Loaded } from '../parts/loaded.tsx';

/** Why is it not on 2.4? */
export function Explain({ device }: { readonly device: DeviceDetail }) {
  const { device_id: id, device_model: model, current_firmware_version: current } = device;
  const releases = useQuery({ queryKey: ['releases', model], queryFn: () => api.releases({ model, limit: 200 }) });
  const [asked, ask] = useState<string>();
  const versions = releases.data?.items.map(({ version }) => version) ?? [];
  const version = asked ?? versions[0];
  const explanation = useQuery({
    queryKey: ['explain', id, version],
    queryFn: () => api.explain(id, version === undefined ? {} : { version }),
    enabled: releases.data !== undefined,
  });
  const error = useLastError(explanation, version);
  const isOn = version === current;
  return (
    <section className="panel explain" aria-label="Why it runs what it runs">
      <h2>
        Why is it {isOn ? 'on' : 'not on'}{' '}
        {versions.length === 0 ? (
          'a release'
        ) : (
          <select aria-label="Version" value={version} onChange={(event) => ask(event.target.value)}>
            {versions.map((each) => (
              <option key={each}>{each}</option>
            ))}
          </select>
        )}
        ?
      </h2>
      {isNotFound(error) ? (
        <p className="calm">{messageOf(error)} Nobody has asked for it to be sent.</p>
      ) : (
        <Loaded of={explanation} lines={3}>
          {(data) => <Answer explanation={data} />}
        </Loaded>
      )}
    </section>
  );
}

function Answer({ explanation }: { readonly explanation: Explanation }) {
  const { rule, since, next, rollout_id: rollout, rollout_name: name } = explanation;
  return (
    <div className="answer">
      <p className="rule">{asSentence(rule)}</p>
      <dl className="facts">
        <div>
          <dt>Since</dt>
          <dd>
            <Ago at={since} never="–" />
          </dd>
        </div>
        <div>
          <dt>Next</dt>
          <dd>{capital(withLocalTimes(next))}</dd>
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

/** Rules speak of the device, unless they name what they speak of. */
function asSentence(rule: string): string {
  const text = withLocalTimes(rule);
  if (/^(the|no|rollout) |^target_/.test(text)) return `${capital(text)}.`;
  return text.startsWith('canceled') ? `Its update was ${text}.` : `It ${text}.`;
}
