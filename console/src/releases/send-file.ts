import type { NewUpload, StartedUpload, UploadOutcome } from '../../../api/releases.ts';
import { api } from '../data/client.ts';
import { sessionHeader } from '../data/session.ts';
import { sha256 } from './image.ts';

export interface UploadForm {
  readonly file: File;
  readonly model: string;
  readonly version: string;
  readonly minVersion: string;
  readonly changelog: string;
  /** A signature file, which is uploaded before its image. */
  readonly signature?: File | undefined;
}

export type UploadStep =
  | { readonly kind: 'sending'; readonly share: number }
  /** The file was sent; the service verifies it. */
  | { readonly kind: 'verifying' };

const POLL_INTERVAL_MS = 1_000;
const VERDICT_TIMEOUT_MS = 120_000;

/** Uploads a file and waits for its verdict. @throws Error that says what to do */
export async function uploadRelease(form: UploadForm, onStep: (step: UploadStep) => void): Promise<UploadOutcome> {
  const { file, model, version, signature } = form;
  onStep({ kind: 'sending', share: 0 });
  const digest = await sha256(file);
  // The service's time, because this machine's clock may differ.
  const { database_time: since } = await api.info();
  if (signature !== undefined) {
    await put(await api.startUpload({ device_model: model, version, file: 'signature' }), signature, () => {});
  }
  const upload = await api.startUpload(bodyOf(form));
  await put(upload, file, (share) => onStep({ kind: 'sending', share }));
  onStep({ kind: 'verifying' });
  const deadline = Date.now() + VERDICT_TIMEOUT_MS;
  while (Date.now() < deadline) {
    const outcome = await api.uploadOutcome(model, version, { since, sha256: digest });
    if (outcome.state !== 'waiting') return outcome;
    await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL_MS));
  }
  throw new Error(
    `${upload.object_key} is uploaded, but there is no verdict after ${VERDICT_TIMEOUT_MS / 60_000} min. It comes as soon as the service has read it; see the list below.`,
  );
}

function bodyOf({ model, version, minVersion, changelog }: UploadForm): NewUpload {
  return {
    device_model: model,
    version,
    ...(minVersion === '' ? {} : { min_version: minVersion }),
    ...(changelog === '' ? {} : { changelog }),
  };
}

/** Sends a file by XMLHttpRequest, because `fetch` does not report how much of a body was sent. */
function put({ upload_url: url, headers }: StartedUpload, file: File, onShare: (share: number) => void): Promise<void> {
  const request = new XMLHttpRequest();
  request.open('PUT', url);
  for (const [name, value] of Object.entries({ ...headers, ...sessionHeader() })) request.setRequestHeader(name, value);
  request.upload.onprogress = ({ loaded, total }) => onShare(total === 0 ? 1 : loaded / total);
  return new Promise((resolve, reject) => {
    request.onload = () => (request.status < 300 ? resolve() : reject(new Error(detailOf(request))));
    request.onerror = () => reject(new Error('The upload broke off. Begin it again.'));
    request.send(file);
  });
}

function detailOf({ status, responseText }: XMLHttpRequest): string {
  try {
    const { detail } = JSON.parse(responseText) as { detail?: string };
    return detail ?? `The upload was refused (${status}).`;
  } catch {
    return `The upload was refused (${status}).`;
  }
}
