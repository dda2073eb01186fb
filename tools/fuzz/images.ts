import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { inspectImage, VERDICTS } from '../../core/image/index.ts';
import { buildImage } from '../../fleet/build-image.ts';

const codeBytes = 600;
const image = buildImage({ codeBytes });
/** Offset of the description, after the image header and the first segment header. */
const DESCRIPTION = 32;
const HASH_BYTES = 32;
const SEEDS = [
  image,
  buildImage({ codeBytes, descriptor: false }),
  buildImage({ codeBytes, hash: false }),
  buildImage({ codeBytes, chip: 'ESP32', secureBootV1: true }),
  buildImage({ codeBytes, chip: 'ESP8266' }),
  buildImage({ codeBytes, chip: 'ESP8266', esp8266: 'rtos' }),
  Buffer.concat([Buffer.alloc(0x1000, 0xff), image]),
  Buffer.concat([image, Buffer.alloc(64)]),
];

/** A 32-bit word with a hostile value. */
const word = fc.oneof(
  fc.constantFrom(0, 1, 0x7fffffff, 0x80000000, 0xfffffff0, 0xfffffffc, 0xffffffff),
  fc.integer({ min: 0, max: 0xffffffff }),
);
const place = fc.oneof({ weight: 3, arbitrary: fc.nat(400) }, { weight: 1, arbitrary: fc.nat(10_000) });
const edits = fc.array(fc.tuple(place, word), { maxLength: 6 });
const mutated = fc
  .tuple(fc.constantFrom(...SEEDS), edits, fc.option(fc.nat(6_000)), fc.uint8Array({ maxLength: 40 }))
  .map(([seed, changes, end, tail]) => {
    const bytes = Buffer.from(seed.subarray(0, end ?? seed.length));
    for (const [at, value] of changes) if (at + 4 <= bytes.length) bytes.writeUInt32LE(value, at);
    return Buffer.concat([bytes, tail]);
  });

/** A valid image with a random description. */
const described = fc.uint8Array({ minLength: 1, maxLength: 200 }).chain((said) =>
  fc.integer({ min: DESCRIPTION + 4, max: DESCRIPTION + 256 - said.length }).map((at) => {
    const bytes = Buffer.from(image);
    const checksumAt = bytes.length - HASH_BYTES - 1;
    const xor = (part: Uint8Array) => part.reduce((sum, byte) => sum ^ byte, 0);
    const checksum = (bytes[checksumAt] ?? 0) ^ xor(bytes.subarray(at, at + said.length)) ^ xor(said);
    bytes.set(said, at);
    bytes.writeUInt8(checksum, checksumAt);
    createHash('sha256')
      .update(bytes.subarray(0, -HASH_BYTES))
      .digest()
      .copy(bytes, bytes.length - HASH_BYTES);
    return bytes;
  }),
);

export const hostileFile = fc.record({
  bytes: fc.oneof(
    { weight: 5, arbitrary: mutated },
    { weight: 2, arbitrary: described },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 500 }).map((bytes) => Buffer.from(bytes)) },
  ),
  chunk: fc.integer({ min: 1, max: 5_000 }),
  /** A wrong size, as if S3 reported it. */
  lie: fc.option(fc.nat(10_000), { freq: 10 }),
  acceptEsp8266: fc.boolean(),
  allowWithoutDescriptor: fc.boolean(),
});

/** Maximum length of a message, which is displayed and stored in a row. */
const MAX_MESSAGE = 2_000;
const MAX_KEPT = 16 * 1024;

/** @throws Error unless the inspection ends with a verdict that can be stored and displayed */
export async function checkFile(file: typeof hostileFile extends fc.Arbitrary<infer T> ? T : never): Promise<void> {
  const { bytes, chunk, lie, ...kinds } = file;
  async function* chunks() {
    for (let at = 0; at < bytes.length; at += chunk) yield bytes.subarray(at, at + chunk);
  }
  const result = await inspectImage(chunks(), { sizeBytes: lie ?? bytes.length, ...kinds });
  const { verdict, message } = result;
  if (!VERDICTS.includes(verdict)) throw new Error(`there is no verdict ${verdict}`);
  if (message.length === 0 || message.length > MAX_MESSAGE) throw new Error(`${message.length} characters are told`);
  const kept = JSON.stringify(result);
  if (kept.length > MAX_KEPT || !/^[\x20-\x7e]*$/.test(kept) || kept.includes('\\u'))
    throw new Error(`cannot be kept and shown: ${kept}`);
  if (lie !== null && lie !== bytes.length && verdict === 'ACCEPT') throw new Error('a part of a file was accepted');
}
