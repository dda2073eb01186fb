import { createHash } from 'node:crypto';
import { type Chip, checkChip, checkMagic, IMAGE_HEADER_BYTES } from './chips.ts';
import type { Clock } from './clock.ts';
import type { OtaCommand } from './command.ts';
import { OtaFailure } from './ota-failure.ts';
import { INSTALLED, type OtaOutcome, type Progress, type ProgressState } from './ota-payload.ts';
import { type ExpectedManifest, type ReceivedManifest, verifyManifest } from './verify-manifest.ts';

/** A running download: the announced length and the bytes. */
export interface ImageDownload {
  readonly contentLength: number;
  /** Of the first response that has one. */
  readonly manifest?: ReceivedManifest | undefined;
  readonly body: AsyncIterable<Uint8Array>;
}

/** Opens the download of an image. @throws OtaFailure if it fails, also while the body is read */
export type OpenImage = (url: string, signal: AbortSignal) => Promise<ImageDownload>;

/** One installation: command, target and observer. */
export interface InstallJob {
  readonly command: OtaCommand;
  readonly chip: Chip;
  readonly otaPartitionBytes: number;
  /** The boot partition is selected before the checksum is compared. */
  readonly selectsBeforeVerifying: boolean;
  /** The key and the model that the manifest of a download must be of; undefined: manifests are ignored. */
  readonly manifestOf?: Pick<ExpectedManifest, 'publicKey' | 'model'> | undefined;
  /** Bytes per second that radio and flash can handle; undefined means unlimited. */
  readonly bytesPerSecond?: number | undefined;
  readonly clock: Clock;
  readonly open: OpenImage;
  readonly report: (progress: Progress) => void;
}

const REPORT_EVERY_MS = 1000;

/**
 * Downloads, checks and writes an image in the order of the field firmware: it checks the size before the first byte, the
 * magic byte on the first, and SHA-256 and chip after the last.
 * @throws the signal's reason if it is aborted; a failed installation is a result
 */
export async function installImage(job: InstallJob, signal: AbortSignal): Promise<OtaOutcome> {
  const meter = new ProgressMeter(job);
  try {
    const image = await openImage(job, meter, signal);
    const signed = job.manifestOf && verifyManifest(image.manifest, expectedOf(job, job.manifestOf, image));
    const written = await write(job, image, meter, signal);
    if (signed !== undefined && signed !== written.sha256)
      throw new ChecksumFailure(3, `the image's SHA-256 is ${written.sha256}, the manifest says ${signed}`);
    verify(job, written, meter);
    meter.enter('Complete');
    return INSTALLED;
  } catch (error) {
    if (!(error instanceof OtaFailure)) throw error;
    meter.enter('Failed');
    const failed = { code: error.code, message: error.sentMessage, reason: error.message };
    return error instanceof ChecksumFailure ? { ...failed, bootsUnverified: job.selectsBeforeVerifying } : failed;
  }
}

const expectedOf = (
  { command: { version } }: InstallJob,
  signed: Pick<ExpectedManifest, 'publicKey' | 'model'>,
  { contentLength: size }: ImageDownload,
): ExpectedManifest => ({ ...signed, version, size });

async function openImage(job: InstallJob, meter: ProgressMeter, signal: AbortSignal): Promise<ImageDownload> {
  meter.enter('Checking');
  if (job.otaPartitionBytes === 0) throw new OtaFailure(5, 'there is no OTA partition');
  meter.enter('Downloading');
  const image = await job.open(job.command.url, signal);
  if (image.contentLength > job.otaPartitionBytes) {
    throw new OtaFailure(8, `the image has ${image.contentLength} bytes, the partition ${job.otaPartitionBytes}`);
  }
  meter.totalBytes = image.contentLength;
  return image;
}

interface WrittenImage {
  readonly sha256: string;
  readonly header: Uint8Array;
  /** The whole image, if it is checked before its partition is selected. */
  readonly kept: readonly Uint8Array[];
}

class ChecksumFailure extends OtaFailure {}

async function write(
  job: InstallJob,
  image: ImageDownload,
  meter: ProgressMeter,
  signal: AbortSignal,
): Promise<WrittenImage> {
  const hash = createHash('sha256');
  const kept: Uint8Array[] = [];
  let header = Buffer.alloc(0);
  for await (const chunk of image.body) {
    if (meter.downloadedBytes === 0) checkMagic(chunk[0]);
    if (header.length < IMAGE_HEADER_BYTES) header = Buffer.concat([header, chunk]).subarray(0, IMAGE_HEADER_BYTES);
    hash.update(chunk);
    if (job.selectsBeforeVerifying) kept.push(chunk);
    if (job.bytesPerSecond) await job.clock.sleep((chunk.length * 1000) / job.bytesPerSecond, signal);
    meter.add(chunk.length);
  }
  if (meter.downloadedBytes !== image.contentLength) {
    throw new OtaFailure(2, `the server sent ${meter.downloadedBytes} of ${image.contentLength} bytes`);
  }
  return { sha256: hash.digest('hex'), header, kept };
}

const HASH_FLAG_OFFSET = 23;
const SEGMENT_HEADER_BYTES = 8;
const HASH_BYTES = 32;

/** False if the image says that it has a SHA-256, and the bytes behind its segments are another one. */
function isIntact(image: Buffer): boolean {
  if (image[HASH_FLAG_OFFSET] !== 1) return true;
  let at = IMAGE_HEADER_BYTES;
  for (let segments = image.readUInt8(1); segments > 0; segments -= 1) {
    if (at + SEGMENT_HEADER_BYTES > image.length) return false;
    at += SEGMENT_HEADER_BYTES + image.readUInt32LE(at + 4);
  }
  // A byte with a checksum is the last one of a block of 16.
  const end = (at | 15) + 1;
  return createHash('sha256')
    .update(image.subarray(0, end))
    .digest()
    .equals(image.subarray(end, end + HASH_BYTES));
}

/** `Update.end` of arduino-esp32: it checks the image as such and selects its partition. @throws OtaFailure */
function selectPartition({ chip }: InstallJob, { header, kept }: WrittenImage): void {
  if (chip !== 'ESP8266' && !isIntact(Buffer.concat(kept))) {
    throw new OtaFailure(4, 'the image is damaged: the hash behind its segments is another one');
  }
  checkChip(header, chip);
}

function verify(job: InstallJob, written: WrittenImage, meter: ProgressMeter): void {
  const { command, chip } = job;
  meter.enter('Verifying');
  if (job.selectsBeforeVerifying) selectPartition(job, written);
  // The firmware of an ESP8266 skips the comparison, because it lacks the memory to hash a stream.
  const checksHash = chip !== 'ESP8266' && command.checksum !== '';
  if (checksHash && command.checksum.toLowerCase() !== written.sha256) {
    throw new ChecksumFailure(3, `the image's SHA-256 is ${written.sha256}, the command says ${command.checksum}`);
  }
  meter.enter('Installing');
  checkChip(written.header, chip);
}

/** Reports each change of state immediately, and the number of bytes at most once per second. */
class ProgressMeter {
  downloadedBytes = 0;
  totalBytes = 0;
  private state: ProgressState = 'Checking';
  private readonly startedAt: number;
  private reportedAt = 0;

  constructor(private readonly job: InstallJob) {
    this.startedAt = job.clock.now();
  }

  enter(state: ProgressState): void {
    this.state = state;
    this.report();
  }

  add(bytes: number): void {
    this.downloadedBytes += bytes;
    if (this.job.clock.now() - this.reportedAt >= REPORT_EVERY_MS) this.report();
  }

  private report(): void {
    this.reportedAt = this.job.clock.now();
    const { state, downloadedBytes, totalBytes } = this;
    const elapsedMs = Math.round(this.reportedAt - this.startedAt);
    this.job.report({ state, downloadedBytes, totalBytes, elapsedMs });
  }
}
