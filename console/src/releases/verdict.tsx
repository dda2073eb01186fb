import { Link } from 'wouter';
import type { RejectedUpload, Release, UploadOutcome } from '../../../api/releases.ts';
import { bytes, capital } from '../text/format.ts';
import { Panel } from '../ui/page.tsx';
import { isParsed, type ParsedImage } from './image.ts';
import { ImageContents } from './image-contents.tsx';
import { releasePath } from './release-path.ts';
import { verdictName } from './verdict-text.ts';

interface VerdictProps {
  readonly outcome: UploadOutcome;
  readonly again: () => void;
}

/** The outcome of an upload. */
export function Verdict({ outcome: { release, rejection }, again }: VerdictProps) {
  const other = (
    <button type="button" onClick={again}>
      Upload another
    </button>
  );
  return (
    <div role="status">
      {release && <Registered release={release}>{other}</Registered>}
      {rejection && <Rejected rejection={rejection}>{other}</Rejected>}
    </div>
  );
}

interface RegisteredProps {
  readonly release: Release;
  readonly children: React.ReactNode;
}

function Registered({ release, children }: RegisteredProps) {
  const { device_model: model, version, chip, file_size: size, warnings } = release;
  return (
    <Panel title="Registered" className="verdict ok">
      <p>
        <Link href={releasePath(release)}>
          {model} {version}
        </Link>{' '}
        for {chip}, {bytes(size)}, is a release now. Nothing is sent before a rollout says so.
      </p>
      <Warnings of={warnings} />
      <div className="actions">
        {children}
        <Link className="button primary" href={`/rollouts/new?${new URLSearchParams({ model, version })}`}>
          Roll it out …
        </Link>
      </div>
    </Panel>
  );
}

export function Warnings({ of }: { readonly of: Release['warnings'] }) {
  if (of.length === 0) return null;
  return (
    <ul className="warnings">
      {of.map(({ code, message }) => (
        <li key={code}>
          <strong>{verdictName(code)}:</strong> {message}
        </li>
      ))}
    </ul>
  );
}

interface RejectedProps {
  readonly rejection: RejectedUpload;
  readonly children: React.ReactNode;
}

function Rejected({ rejection, children }: RejectedProps) {
  const image = rejection.image as ParsedImage;
  return (
    <Panel title={`Rejected: ${verdictName(rejection.verdict)}`} className="verdict bad">
      <p>{capital(rejection.message)}.</p>
      <p className="muted">
        <code>{rejection.object_key}</code>, {bytes(rejection.file_size)}. No device will see it.
      </p>
      {isParsed(image) && (
        <details>
          <summary>Readable contents</summary>
          <ImageContents image={image} />
        </details>
      )}
      <div className="actions">{children}</div>
    </Panel>
  );
}
