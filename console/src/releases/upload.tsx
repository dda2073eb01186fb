import { useMutation, useQuery } from '@tanstack/react-query';
import { type DragEvent, type FormEvent, useState } from 'react';
import type { UploadOutcome } from '../../../api/releases.ts';
import { api, refresh } from '../data/client.ts';
import { bytes } from '../text/format.ts';
import { Field, FormErrors, fieldErrorsOf, TextField } from '../ui/form.tsx';
import { Failure } from '../ui/loaded.tsx';
import { Panel } from '../ui/page.tsx';
import { type ImageHeader, readImageHeader } from './read-image-header.ts';
import { type UploadForm, type UploadStep, uploadRelease } from './send-file.ts';
import { Verdict } from './verdict.tsx';

/** The upload of a file, from its choice to its verdict. */
export function Upload() {
  const [file, setFile] = useState<File>();
  const [outcome, setOutcome] = useState<UploadOutcome>();
  const again = () => {
    setFile(undefined);
    setOutcome(undefined);
  };
  if (outcome !== undefined) return <Verdict outcome={outcome} again={again} />;
  if (file === undefined) return <DropZone onFile={setFile} />;
  return <Details file={file} onOutcome={setOutcome} onCancel={again} />;
}

function DropZone({ onFile }: { readonly onFile: (file: File) => void }) {
  const [isOver, setOver] = useState(false);
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    const [file] = event.dataTransfer.files;
    if (file !== undefined) onFile(file);
  };
  const over = (event: DragEvent) => {
    event.preventDefault();
    setOver(true);
  };
  return (
    <section
      className={isOver ? 'drop over' : 'drop'}
      aria-label="Upload an image"
      onDragOver={over}
      onDragLeave={() => setOver(false)}
      onDrop={drop}
    >
      <p>
        <strong>Drop an application image here</strong>, or{' '}
        <label className="file-button">
          choose a file
          <input
            type="file"
            accept=".bin"
            onChange={({ target: { files } }) => files?.[0] !== undefined && onFile(files[0])}
          />
        </label>
      </p>
      <p className="muted">
        <code>build/&lt;project&gt;.bin</code> of ESP-IDF, <code>firmware.bin</code> of PlatformIO. It is verified
        before any device sees it.
      </p>
    </section>
  );
}

interface DetailsProps {
  readonly file: File;
  readonly onOutcome: (outcome: UploadOutcome) => void;
  readonly onCancel: () => void;
}

function Details({ file, onOutcome, onCancel }: DetailsProps) {
  const [typed, setTyped] = useState<Partial<Omit<UploadForm, 'file' | 'signature'>>>({});
  const [signature, setSignature] = useState<File>();
  const [step, setStep] = useState<UploadStep>();
  const header = useQuery({
    queryKey: ['image-header', file],
    queryFn: () => readImageHeader(file),
    refetchInterval: false,
  });
  const fleet = useQuery({ queryKey: ['fleet'], queryFn: api.fleet });
  const models = [...new Set(fleet.data?.versions.map((version) => version.device_model))].sort();
  const described = header.data?.kind === 'application' ? header.data : undefined;
  const [onlyModel = '', ...otherModels] = described === undefined ? [] : models;
  const form: UploadForm = {
    file,
    model: typed.model ?? (otherModels.length === 0 ? onlyModel : ''),
    version: typed.version ?? described?.version ?? '',
    minVersion: typed.minVersion ?? '',
    changelog: typed.changelog ?? '',
    signature,
  };
  const isUnknown = (model: string) => fleet.data !== undefined && model !== '' && !models.includes(model);
  const upload = useMutation({
    mutationFn: () => uploadRelease(form, setStep),
    onSuccess: (outcome) => {
      void refresh();
      onOutcome(outcome);
    },
  });
  const field = (name: keyof typeof typed) => ({
    value: form[name as 'model'],
    onChange: (value: string) => setTyped({ ...typed, [name]: value }),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    upload.mutate();
  };
  return (
    <Panel title="Upload an image">
      <p>
        <strong>{file.name}</strong>, {bytes(file.size)}.{' '}
        {described && `It embeds ${described.project} ${described.version}.`}
      </p>
      {header.data && <UploadWarning of={header.data} />}
      <form onSubmit={submit}>
        <FormErrors value={fieldErrorsOf(upload.error)}>
          <div className="fields">
            <TextField
              label="Device model"
              name="device_model"
              required
              suggestions={models}
              {...(isUnknown(form.model) && { hint: 'No device of this model has reported yet.' })}
              {...field('model')}
            />
            <TextField label="Version" name="version" required {...field('version')} />
            <TextField
              label="Minimum version (optional)"
              name="min_version"
              hint="Devices on older versions are not updated."
              {...field('minVersion')}
            />
            <TextField label="Changelog (optional)" name="changelog" className="grow" {...field('changelog')} />
            <Field
              label="Signature (optional)"
              hint="The signature file (.sig) of paku-ota release sign; it is uploaded first."
              className="grow"
            >
              {(labelling) => (
                <span className="file-field">
                  <label className="file-button">
                    choose
                    <input
                      {...labelling}
                      type="file"
                      accept=".sig"
                      onChange={({ target: { files } }) => setSignature(files?.[0])}
                    />
                  </label>
                  <span className="muted">{signature?.name ?? 'none'}</span>
                </span>
              )}
            </Field>
          </div>
        </FormErrors>
        {upload.error && <Failure error={upload.error} />}
        {upload.isPending && step && <Progress step={step} />}
        <div className="actions">
          <button type="button" onClick={onCancel} disabled={upload.isPending}>
            Cancel
          </button>
          <button
            type="submit"
            className={header.data?.kind === 'foreign' ? '' : 'primary'}
            disabled={upload.isPending || form.model === '' || form.version === ''}
          >
            {header.data?.kind === 'foreign' ? 'Upload anyway' : 'Upload'}
          </button>
        </div>
      </form>
    </Panel>
  );
}

/** A warning about a file that is not an application image. */
function UploadWarning({ of }: { readonly of: ImageHeader }) {
  if (of.kind === 'application') return null;
  if (of.kind === 'undescribed') {
    return (
      <p className="notice warn">
        It has no application description, so it does not say what it is: as an image for an ESP8266, or a boot loader.
      </p>
    );
  }
  return (
    <p className="notice bad">
      This is {of.what}, no application image, and would be rejected. The one to upload is build/&lt;project&gt;.bin of
      ESP-IDF, firmware.bin of PlatformIO or &lt;sketch&gt;.ino.bin of Arduino.
    </p>
  );
}

function Progress({ step }: { readonly step: UploadStep }) {
  return (
    <div className="upload-progress" role="status">
      {step.kind === 'sending' ? (
        <>
          <progress value={step.share} aria-label="Uploaded" /> Uploading, {Math.round(step.share * 100)}%
        </>
      ) : (
        <>
          <progress aria-label="Verifying" /> Uploaded. It is being verified …
        </>
      )}
    </div>
  );
}
