import { progress, spinner } from '@clack/prompts';
import type { UploadOutcome } from '../../../api/releases.ts';
import { MAX_SIGNATURE_BYTES } from '../../../core/image/index.ts';
import type { Overridable } from '../../../core/release-policy/index.ts';
import { EXIT, type Session } from '../../session/index.ts';
import { bytes, registeredText, rejectedText } from '../../text/index.ts';
import { awaitOutcome, type ImageFile, putFile, readImageFile, readUploadFile, versionOf } from './upload.ts';

export interface AddReleaseOptions {
  readonly model: string;
  readonly version?: string;
  /** Path of a signature file. */
  readonly signature?: string;
  readonly minVersion?: string;
  readonly changelog?: string;
  readonly notes?: string;
  readonly allow?: Overridable[];
  readonly timeout: number;
}

/** Uploads an image, waits for its verdict and prints it. */
export async function addRelease(session: Session, options: AddReleaseOptions, path: string): Promise<void> {
  const { api } = session;
  const { model, signature, minVersion, changelog, notes, allow } = options;
  const image = await readImageFile(path);
  const signatureFile = signature === undefined ? undefined : await readUploadFile(signature, MAX_SIGNATURE_BYTES);
  const version = options.version ?? versionOf(path, image.appVersion);
  const since = secondBefore((await api.info()).database_time);
  if (signatureFile !== undefined) {
    await putFile(signatureFile, await api.startUpload({ device_model: model, version, file: 'signature' }));
  }
  const before = await api.uploadOutcome(model, version, { since, sha256: image.sha256 });
  const started = await api.startUpload({
    device_model: model,
    version,
    ...(minVersion !== undefined && { min_version: minVersion }),
    ...(changelog !== undefined && { changelog }),
    ...(notes !== undefined && { release_notes: notes }),
    ...(allow !== undefined && { allow }),
  });
  const meter = session.json ? NO_METER : progressMeter(image, `${model} ${version}`);
  const upload = async () => {
    await putFile(image, started, meter.sent);
    meter.waiting();
    const awaited = { model, version, sha256: image.sha256, since, timeoutSeconds: options.timeout };
    return awaitOutcome(api, awaited, before);
  };
  // The meter redraws the lines below it, so it ends before anything else is printed.
  const outcome = await upload().finally(meter.done);
  showOutcome(session, outcome, since);
  if (outcome.release !== null && !session.json) await noteUnknownModel(session, model);
}

/** Notes that no device has the model, which may be misspelt. A role that may only upload, as in CI, cannot read devices. */
async function noteUnknownModel({ api, note }: Session, model: string): Promise<void> {
  const devices = await api.devices({ model, limit: 1 }).catch(() => undefined);
  if (devices?.items.length === 0) note(`No device of model ${model} has reported yet.`);
}

/** A second earlier, without a fraction: S3 gives the time of an upload in whole seconds. */
const secondBefore = (time: string) => new Date(Math.floor(Date.parse(time) / 1000) * 1000 - 1000).toISOString();

function showOutcome(session: Session, outcome: UploadOutcome, since: string): void {
  session.show(outcome, ({ release, rejection }) => {
    if (release !== null) return registeredText(release, since, new Date());
    return rejection === null ? [] : rejectedText(rejection);
  });
  if (outcome.state === 'rejected') process.exitCode = EXIT.failed;
}

interface Meter {
  /** @param total bytes sent so far */
  sent(total: number): void;
  waiting(): void;
  done(): void;
}

const NO_METER: Meter = { sent: () => {}, waiting: () => {}, done: () => {} };

/** A bar on a terminal, otherwise two lines; on standard error, because standard output carries the verdict. */
function progressMeter({ sizeBytes }: ImageFile, name: string): Meter {
  const what = `Uploading ${name}, ${bytes(sizeBytes)}`;
  const awaiting = 'Uploaded. Waiting for the verdict';
  if (!process.stderr.isTTY) {
    console.error(what);
    return { ...NO_METER, waiting: () => console.error(awaiting) };
  }
  const shared = { output: process.stderr, withGuide: false };
  const bar = progress({ ...shared, max: sizeBytes, style: 'block' });
  const spin = spinner(shared);
  let before = 0;
  let end = () => bar.error(what);
  bar.start(what);
  return {
    sent(total) {
      bar.advance(total - before);
      before = total;
    },
    waiting() {
      bar.stop(`Uploaded ${name}, ${bytes(sizeBytes)}`);
      spin.start('Waiting for the verdict');
      end = () => spin.clear();
    },
    done: () => end(),
  };
}
