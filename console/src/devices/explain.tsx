import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Link } from 'wouter';
import type { Page } from '../../../api/client.ts';
import type { DeviceDetail, Explanation } from '../../../api/devices.ts';
import type { RolloutSummary } from '../../../api/rollouts.ts';
import { api, isNotFound } from '../data/client.ts';
import { byVersion, capital, withLocalTimes } from '../text/format.ts';
import { Ago } from '../ui/components.tsx';
import { useLastError } from '../ui/last-error.ts';
import { Loaded } from '../ui/loaded.tsx';
import { useRolloutsOf } from './rollouts-of.ts';

/** Explains why the device is, or is not, on a version: by default that of the device's own rollout. */
export function Explain({ device }: { readonly device: DeviceDetail }) {
  const { device_id: id, device_model: model, current_firmware_version: current } = device;
  const [asked, ask] = useState<string>();
  const rollouts = useRolloutsOf(model);
  const explanation = useQuery({
    queryKey: ['explain', id, asked ?? ''],
    queryFn: () => api.explain(id, asked === undefined ? {} : { version: asked }),
    enabled: rollouts.data !== undefined && isSent(rollouts.data, asked),
  });
  const error = useLastError(explanation, asked);
  const version = asked ?? explanation.data?.firmware_version;
  const hasNoRollout = (rollouts.data !== undefined && !isSent(rollouts.data, asked)) || isNotFound(error);
  return (
    <section className="panel explain" aria-label="Explanation">
      {version === undefined ? (
        <h2>Why does it run {current}?</h2>
      ) : (
        <h2>
          Why is it {version === current ? 'on' : 'not on'} <VersionChoice {...{ model, version, ask }} />?
        </h2>
      )}
      {hasNoRollout ? (
        <NoRollout model={model} version={asked} />
      ) : (
        <Loaded of={rollouts.data === undefined ? rollouts : explanation} lines={3}>
          {() => explanation.data && <Answer explanation={explanation.data} />}
        </Loaded>
      )}
    </section>
  );
}

/** True if a rollout sends the version, or any version when undefined; also true if not all rollouts were loaded. */
const isSent = ({ items, next_cursor: more }: Page<RolloutSummary>, version: string | undefined) =>
  more !== null || items.some((rollout) => version === undefined || rollout.firmware_version === version);

interface VersionChoiceProps {
  readonly model: string;
  readonly version: string;
  readonly ask: (version: string) => void;
}

/** A choice of the releases that are not revoked, and of the version in question. */
function VersionChoice({ model, version, ask }: VersionChoiceProps) {
  const releases = useQuery({ queryKey: ['releases', model], queryFn: () => api.releases({ model, limit: 200 }) });
  const usable = releases.data?.items.filter(({ revoked_at: revoked }) => revoked === null) ?? [];
  const versions = [...new Set([version, ...usable.map((release) => release.version)])].sort(byVersion);
  return (
    <select aria-label="Version" value={version} onChange={(event) => ask(event.target.value)}>
      {versions.map((each) => (
        <option key={each}>{each}</option>
      ))}
    </select>
  );
}

function NoRollout({ model, version }: { readonly model: string; readonly version: string | undefined }) {
  const query = new URLSearchParams({ model, ...(version === undefined ? {} : { version }) });
  return (
    <p className="calm">
      {version === undefined ? `No rollout is for it` : `No rollout sends ${version} to devices of model ${model}`}: no
      rollout targets it. <Link href={`/rollouts/new${version === undefined ? '' : `?${query}`}`}>Create one</Link>
    </p>
  );
}

function Answer({ explanation }: { readonly explanation: Explanation }) {
  const {
    rule,
    since,
    next,
    presence,
    connection,
    refusals,
    rollout_id: rollout,
    rollout_name: name,
    firmware_version: version,
  } = explanation;
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
          <dt>Device</dt>
          <dd>{capital(`${presence.state.replace('_', ' ')}: ${presence.text}`)}</dd>
        </div>
        {connection && (
          <div>
            <dt>AWS IoT says</dt>
            <dd>{capital(connection.text)}</dd>
          </div>
        )}
        {refusals && (
          <div>
            <dt>Refused</dt>
            <dd>{capital(refusals.text)}</dd>
          </div>
        )}
        <div>
          <dt>By rollout</dt>
          <dd>
            <Link href={`/rollouts/${rollout}`}>{name}</Link>, which sends {version}
          </dd>
        </div>
      </dl>
    </div>
  );
}

/** The rule as a sentence. A rule without a subject is about the device. */
function asSentence(rule: string): string {
  const text = withLocalTimes(rule);
  if (/^(the|no|rollout) |^target_/.test(text)) return `${capital(text)}.`;
  return text.startsWith('canceled') ? `Its update was ${text}.` : `It ${text}.`;
}
