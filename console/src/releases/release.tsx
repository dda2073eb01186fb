import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Link } from 'wouter';
import { describeRevocation } from '../../../api/describe-revocation.ts';
import type { ReleaseDetail } from '../../../api/releases.ts';
import { uploaderText } from '../../../api/uploader-text.ts';
import { api } from '../data/client.ts';
import { bytes, caller, count, counted, dateTime } from '../text/format.ts';
import { Ago, Facts, Pill } from '../ui/components.tsx';
import { ReasonDialog } from '../ui/dialog.tsx';
import { Loaded } from '../ui/loaded.tsx';
import { Page, Panel } from '../ui/page.tsx';
import { ReleaseHealthPanel } from './health.tsx';
import { isParsed, type ParsedImage } from './image.ts';
import { ImageContents } from './image-contents.tsx';
import { KnownIssuesPanel } from './known-issues.tsx';
import { Senders } from './new-issue.tsx';
import { Warnings } from './verdict.tsx';

const PARENT = { name: 'Releases', href: '/releases' };

interface ReleasePageProps {
  readonly model: string;
  readonly version: string;
}

export function ReleasePage({ model, version }: ReleasePageProps) {
  const release = useQuery({ queryKey: ['release', model, version], queryFn: () => api.release(model, version) });
  return (
    <Page
      title={`${model} ${version}`}
      parent={PARENT}
      aside={release.data?.revoked_at && <Pill tone="bad">revoked</Pill>}
      actions={release.data?.revoked_at === null && <Actions release={release.data} />}
    >
      <Loaded of={release} lines={10}>
        {(data) => (
          <>
            {data.revoked_at !== null && (
              <div className="notice bad">
                <p>
                  Revoked {dateTime(data.revoked_at)} by {data.revoked_by}: {data.revoked_reason}. No more devices
                  receive it.
                </p>
                {data.devices > 0 && <Senders of={data.recoverable} />}
              </div>
            )}
            {data.untrusted_reason !== null && (
              <div className="notice bad">
                <p>It is not sent, because it is not trusted: {data.untrusted_reason}.</p>
              </div>
            )}
            <Warnings of={data.warnings} />
            <Panel title="Release" className="columned">
              <ReleaseFacts release={data} />
            </Panel>
            <KnownIssuesPanel model={model} version={version} />
            <ReleaseHealthPanel model={model} version={version} />
            <Panel title="Image contents">
              {isParsed(data.image as ParsedImage) ? (
                <ImageContents image={data.image as ParsedImage} />
              ) : (
                <p className="calm">It was registered without parsing.</p>
              )}
            </Panel>
          </>
        )}
      </Loaded>
    </Page>
  );
}

function signedText({ signing_key: key, manifest, signature_expires_at: until, image }: ReleaseDetail): string {
  if (key !== null) {
    const kind = manifest === null ? 'in the image, by secure boot key' : 'by key';
    return `${kind} ${key.slice(0, 16)}…${until === null ? '' : `, until ${dateTime(until)}`}`;
  }
  return (image as ParsedImage).signature === 'none' ? 'no' : 'not by a trusted key';
}

function ReleaseFacts({ release }: { readonly release: ReleaseDetail }) {
  const { device_model: model, version, devices } = release;
  const query = new URLSearchParams({ model, version });
  return (
    <Facts
      of={[
        { name: 'Devices', value: <Link href={`/devices?${query}`}>{counted(devices, 'device')}</Link> },
        { name: 'Chip', value: release.chip },
        { name: 'Size', value: `${bytes(release.file_size)} (${count(release.file_size)} bytes)` },
        { name: 'Registered', value: <Ago at={release.created_at} /> },
        { name: 'Signed', value: signedText(release) },
        { name: 'Minimum version', value: release.min_version ?? 'any version' },
        { name: 'Uploaded as', value: <code>{release.uploaded_key ?? '–'}</code> },
        { name: 'Uploaded by', value: uploaderText(release, caller) },
        { name: 'Changelog', value: release.changelog ?? '–' },
        { name: 'Notes', value: release.release_notes ?? '–' },
        { name: 'SHA-256', value: <code>{release.checksum_sha256}</code> },
      ]}
    />
  );
}

/** What the revocation does, in numbers. */
function RevocationEffects({ release }: { readonly release: ReleaseDetail }) {
  const { device_model: model, version } = release;
  const rollouts = useQuery({
    queryKey: ['rollouts', 'of', model, version],
    queryFn: () => api.rollouts({ model, version, limit: 100 }),
  });
  return (
    <Loaded of={rollouts}>
      {({ items }) => (
        <ul>
          {describeRevocation(release, items).map((line) => (
            <li key={line}>{line}</li>
          ))}
        </ul>
      )}
    </Loaded>
  );
}

function Actions({ release }: { readonly release: ReleaseDetail }) {
  const { device_model: model, version } = release;
  const [isRevoking, setRevoking] = useState(false);
  return (
    <>
      <button type="button" className="danger quiet" onClick={() => setRevoking(true)}>
        Revoke …
      </button>
      <Link className="button primary" href={`/rollouts/new?${new URLSearchParams({ model, version })}`}>
        Roll out …
      </Link>
      {isRevoking && (
        <ReasonDialog
          title={`Revoke ${model} ${version}?`}
          button="Revoke"
          danger
          confirmation="I understand that this cannot be undone"
          act={(reason) => api.revokeRelease(model, version, reason)}
          onClose={() => setRevoking(false)}
        >
          <p>No more devices receive it, and its download links stop working.</p>
          <RevocationEffects release={release} />
        </ReasonDialog>
      )}
    </>
  );
}
