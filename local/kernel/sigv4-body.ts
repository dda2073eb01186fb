import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { crc32 } from 'node:zlib';
import { AwsError, type Headers } from './aws-service.ts';
import { EMPTY_SHA256, equalInConstantTime, type VerifiedSignature } from './sigv4.ts';
import { splitOnce } from './text.ts';

const MAX_LINE_BYTES = 8192;
const CRC32_HEADER = 'x-amz-checksum-crc32';

/**
 * The body of a request without `aws-chunked` framing. While it streams, it is checked against the signed hash, the
 * signatures of the chunks, the announced length and a CRC32 of a header or trailer. A mismatch ends the stream with an
 * AwsError, so nothing may be published before its end.
 *
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
 */
export function verifiedBody(source: Readable, headers: Headers, signature: VerifiedSignature): Readable {
  const trailers = new Map<string, string>();
  const pieces = signature.payload.startsWith('STREAMING-')
    ? decodeChunks(source, headers, signature, trailers)
    : checkHash(source, signature.payload);
  const checked = checkCrc32(pieces, () => trailers.get(CRC32_HEADER) ?? headers[CRC32_HEADER]);
  return Readable.from(checked, { objectMode: false });
}

async function* checkHash(source: Readable, expected: string): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  for await (const piece of source.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    hash.update(piece);
    yield piece;
  }
  if (expected === 'UNSIGNED-PAYLOAD' || equalInConstantTime(hash.digest('hex'), expected)) return;
  throw new AwsError(
    'XAmzContentSHA256Mismatch',
    400,
    "The provided 'x-amz-content-sha256' header does not match what was computed.",
  );
}

async function* checkCrc32(pieces: AsyncIterable<Buffer>, expected: () => string | undefined): AsyncGenerator<Buffer> {
  let sum = 0;
  for await (const piece of pieces) {
    sum = crc32(piece, sum);
    yield piece;
  }
  const actual = Buffer.alloc(4);
  actual.writeUInt32BE(sum);
  if ((expected() ?? actual.toString('base64')) === actual.toString('base64')) return;
  throw new AwsError('BadDigest', 400, 'The CRC32 you specified did not match what we received.');
}

/** `<hex size>[;chunk-signature=…] CRLF <bytes> CRLF`, a chunk of size 0, then trailers up to an empty line. */
async function* decodeChunks(
  source: Readable,
  headers: Headers,
  signature: VerifiedSignature,
  trailers: Map<string, string>,
): AsyncGenerator<Buffer> {
  const wire = new Wire(source);
  const { payload } = signature;
  const check = payload.startsWith('STREAMING-AWS4-HMAC-SHA256') ? chunkSignatures(signature) : async () => {};
  let total = 0;
  for (let size = -1; size !== 0; ) {
    const [hexSize, extension] = splitOnce(await wire.line(), ';');
    size = /^[0-9a-fA-F]{1,12}$/.test(hexSize) ? Number.parseInt(hexSize, 16) : incomplete(`chunk size '${hexSize}'`);
    const hash = createHash('sha256');
    for await (const piece of wire.take(size)) {
      hash.update(piece);
      yield piece;
    }
    await check(extension.replace('chunk-signature=', ''), 'PAYLOAD', `${EMPTY_SHA256}\n${hash.digest('hex')}`);
    if (size > 0 && (await wire.line()) !== '') incomplete('a chunk longer than announced');
    total += size;
  }
  const announced = Number(headers['x-amz-decoded-content-length']);
  if (total !== announced) incomplete(`${total} bytes where x-amz-decoded-content-length says ${announced}`);
  const canonical = createHash('sha256');
  for (let line = await wire.line(); line !== ''; line = await wire.line()) {
    const [name, value] = splitOnce(line, ':').map((part) => part.trim()) as [string, string];
    trailers.set(name.toLowerCase(), value);
    if (name !== 'x-amz-trailer-signature') canonical.update(`${name.toLowerCase()}:${value}\n`);
  }
  if (payload.endsWith('-TRAILER')) {
    await check(trailers.get('x-amz-trailer-signature') ?? '', 'TRAILER', canonical.digest('hex'));
  }
}

/** Each signature covers the previous one, so chunks cannot be changed or reordered. */
function chunkSignatures({ signature, context, sign }: VerifiedSignature) {
  let previous = signature;
  return async (sent: string, kind: 'PAYLOAD' | 'TRAILER', content: string) => {
    previous = await sign([`AWS4-HMAC-SHA256-${kind}`, context, previous, content].join('\n'));
    if (equalInConstantTime(previous, sent)) return;
    throw new AwsError('SignatureDoesNotMatch', 403, 'The signature of a chunk does not match its content.');
  };
}

function incomplete(found: string): never {
  throw new AwsError('IncompleteBody', 400, `The aws-chunked body is malformed: found ${found}.`);
}

/** Reads lines and byte counts from a stream, and buffers at most one of its pieces. */
class Wire {
  readonly #pieces: AsyncIterator<Buffer>;
  #buffer: Buffer = Buffer.alloc(0);

  constructor(source: Readable) {
    this.#pieces = source.iterator({ destroyOnReturn: false });
  }

  /** The next line without its CRLF; empty at the end of the stream. */
  async line(): Promise<string> {
    let end = this.#buffer.indexOf('\r\n');
    while (end < 0) {
      if (this.#buffer.length > MAX_LINE_BYTES) incomplete(`a line of more than ${MAX_LINE_BYTES} bytes`);
      const piece = await this.#next();
      if (!piece) return '';
      this.#buffer = Buffer.concat([this.#buffer, piece]);
      end = this.#buffer.indexOf('\r\n');
    }
    const line = this.#buffer.toString('latin1', 0, end);
    this.#buffer = this.#buffer.subarray(end + 2);
    return line;
  }

  async *take(bytes: number): AsyncGenerator<Buffer> {
    for (let left = bytes; left > 0; ) {
      if (this.#buffer.length === 0) this.#buffer = (await this.#next()) ?? incomplete('the end inside of a chunk');
      const piece = this.#buffer.subarray(0, left);
      this.#buffer = this.#buffer.subarray(piece.length);
      left -= piece.length;
      yield piece;
    }
  }

  async #next(): Promise<Buffer | undefined> {
    const { value, done } = await this.#pieces.next();
    return done ? undefined : value;
  }
}
