import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Link } from 'wouter';
import type { RejectedUpload, Release } from '../../../api/releases.ts';
import { uploaderText } from '../../../api/uploader-text.ts';
import { api } from '../data/client.ts';
import { itemsOf, usePages } from '../data/pages.ts';
import { bytes, caller, capital, count, counted } from '../text/format.ts';
import { Ago, MoreButton, Pill } from '../ui/components.tsx';
import { ActionDialog } from '../ui/dialog.tsx';
import { type Column, ListTable } from '../ui/list-table.tsx';
import { Empty, Loaded } from '../ui/loaded.tsx';
import { Page, Panel } from '../ui/page.tsx';
import { releasePath } from './release-path.ts';
import { Upload } from './upload.tsx';
import { splitAdvice, verdictName } from './verdict-text.ts';

export function ReleasesPage() {
  const [model, setModel] = useState('');
  const fleet = useQuery({ queryKey: ['fleet'], queryFn: api.fleet });
  const models = [...new Set(fleet.data?.versions.map((version) => version.device_model))].sort();
  const releases = usePages(['releases', 'pages', model], (page) =>
    api.releases({ ...page, model: model || undefined }),
  );
  const filter = models.length > 1 && (
    <select aria-label="Model" value={model} onChange={(event) => setModel(event.target.value)}>
      <option value="">all models</option>
      {models.map((each) => (
        <option key={each}>{each}</option>
      ))}
    </select>
  );
  return (
    <Page title="Releases">
      <Upload />
      <Panel title="Registered" aside={filter}>
        <Loaded of={releases} lines={6}>
          {(data) => <ReleaseTable releases={itemsOf(data)} />}
        </Loaded>
        <MoreButton query={releases} />
      </Panel>
      <Rejections />
    </Page>
  );
}

function ReleaseTable({ releases }: { readonly releases: readonly Release[] }) {
  if (releases.length === 0) return <Empty title="No release yet">Upload an image to create one.</Empty>;
  return <ListTable label="Releases" columns={COLUMNS} rows={releases} keyOf={({ release_id: id }) => id} />;
}

const COLUMNS: readonly Column<Release>[] = [
  {
    name: 'Release',
    cell: (release) => (
      <Link href={releasePath(release)}>
        {release.device_model} {release.version}
      </Link>
    ),
  },
  { name: 'Chip', cell: ({ chip }) => chip },
  { name: 'Size', kind: 'number', cell: (release) => bytes(release.file_size) },
  { name: 'Devices', kind: 'number', cell: ({ devices }) => count(devices) },
  {
    name: 'Embedded name',
    cell: (release) => [release.project_name, release.app_version].filter(Boolean).join(' ') || '–',
  },
  { name: 'Registered', cell: (release) => <Ago at={release.created_at} /> },
  { name: 'Notes', cell: remarksOf },
];

function remarksOf({ revoked_at: revoked, warnings }: Release) {
  if (revoked === null && warnings.length === 0) return null;
  return (
    <>
      {revoked !== null && <Pill tone="bad">revoked</Pill>}{' '}
      {warnings.length > 0 && <Pill tone="warn">{counted(warnings.length, 'warning')}</Pill>}
    </>
  );
}

function Rejections() {
  const rejected = usePages(['rejected-uploads'], api.rejectedUploads);
  return (
    <Panel title="Rejected">
      <Loaded of={rejected} lines={3}>
        {(data) => {
          const items = itemsOf(data);
          if (items.length === 0) return <p className="calm">Nothing was rejected.</p>;
          const [advice] = items.flatMap(({ message }) => splitAdvice(message).advice ?? []);
          return (
            <>
              {advice !== undefined && <p className="hint">If it was no application image: {advice}.</p>}
              <ul className="rejections">
                {items.map((rejection) => (
                  <Rejection
                    key={`${rejection.object_key} ${rejection.object_version} ${rejection.uploaded_at}`}
                    of={rejection}
                  />
                ))}
              </ul>
            </>
          );
        }}
      </Loaded>
      <MoreButton query={rejected} />
    </Panel>
  );
}

function Rejection({ of: rejection }: { readonly of: RejectedUpload }) {
  const [isOpen, setOpen] = useState(false);
  const { object_key: key, verdict, message, file_size: size, uploaded_at: at } = rejection;
  return (
    <li>
      <p>
        <Pill tone="bad">{verdictName(verdict)}</Pill> <code>{key}</code>{' '}
        <span className="muted">
          {bytes(size)}, <Ago at={at} />, {rejection.requested_by === null ? '' : 'by '}
          {uploaderText(rejection, caller)}
        </span>
      </p>
      <p>
        {capital(splitAdvice(message).reason)}.{' '}
        <button type="button" className="link" onClick={() => setOpen(true)}>
          Verify again …
        </button>
      </p>
      {isOpen && (
        <ActionDialog
          title="Verify this upload again?"
          button="Verify again"
          act={() => api.rescanUpload(key)}
          onClose={() => setOpen(false)}
        >
          <p>
            The same bytes get the same verdict, unless the settings of the model have changed since. <code>{key}</code>
          </p>
        </ActionDialog>
      )}
    </li>
  );
}
