import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildImage } from '../../fleet/build-image.ts';
import { Board } from './board.ts';
import { Compiler, example, host, missingTools } from './compile.ts';

const missing = missingTools();
const run = promisify(execFile);
const image = buildImage({ version: '1.1.0', codeBytes: 100_000 });
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const OLD_IMAGE_SELECTED = '0 2 4';
const NEW_IMAGE_SELECTED = '1 2 0';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;
const send =
  (bytes: Buffer): Answer =>
  (_, response) =>
    response.writeHead(200, { 'Content-Length': bytes.length }).end(bytes);
const redirect =
  (location: string): Answer =>
  (_, response) =>
    response.writeHead(302, { Location: location }).end();

const servers: Server[] = [];
async function serve(answer: Answer): Promise<string> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  servers.push(server);
  await new Promise((resolve) => server.once('listening', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

let compiler: Compiler;
const programs = new Map<number, string>();
beforeAll(() => {
  if (missing.length > 0) return;
  compiler = new Compiler();
  const board = [compiler.compile({ file: host('board.c') }), compiler.compile({ file: host('http.c') })];
  const main = compiler.compile({ file: new URL('install.cpp', import.meta.url).pathname });
  for (const major of [5, 6]) {
    const defines = { ESP_IDF_VERSION_MAJOR: major, PAKU_DOWNLOAD_SECONDS: 1 };
    const program = compiler.link([compiler.compile({ file: example('paku_ota.c'), defines }), main, ...board]);
    const file = join(compiler.folder, `install-${major}`);
    writeFileSync(file, program);
    chmodSync(file, 0o700);
    programs.set(major, file);
  }
});
afterAll(() => {
  compiler?.remove();
  for (const server of servers) server.close().closeAllConnections();
});

interface Outcome {
  readonly result: string;
  readonly otadata: string;
}

/** Lets a board with a valid image install what the command names. */
async function install(command: unknown, { major = 5, state = 2 } = {}): Promise<Outcome> {
  const board = new Board(buildImage());
  writeFileSync(join(board.folder, 'otadata'), `0 ${state} 4\n`);
  const env = { BOARD_DIR: board.folder, BOARD_SLOT: '0' };
  const { stdout } = await run(programs.get(major) ?? '', [JSON.stringify(command)], { env });
  const { boot, states } = board.read();
  await board.remove();
  return { result: stdout.trim(), otadata: [boot, ...states].join(' ') };
}

const commandFor = (url: string, bytes = image) => ({ url, checksum: sha256(bytes), version: '1.1.0' });

describe.skipIf(missing.length > 0)(`paku_ota_install${missing.length > 0 ? ` (missing: ${missing})` : ''}`, () => {
  test.each([5, 6])('with the hashes of ESP-IDF %i, selects an image whose checksum is right', async (major) => {
    const url = await serve(send(image));
    expect(await install(commandFor(url), { major })).toEqual({ result: '0', otadata: NEW_IMAGE_SELECTED });
    const upperCase = { ...commandFor(url), checksum: sha256(image).toUpperCase() };
    expect(await install(upperCase, { major })).toEqual({ result: '0', otadata: NEW_IMAGE_SELECTED });
    const wrong = { ...commandFor(url), checksum: sha256(Buffer.from('other')) };
    expect(await install(wrong, { major })).toEqual({ result: '3', otadata: OLD_IMAGE_SELECTED });
  });

  test('follows a redirect of 3 KB to another port, and names that port in its Host header', async () => {
    const store = await serve((request, response) => {
      const isAddressed = request.headers.host === new URL(store).host;
      if (isAddressed) send(image)(request, response);
      else response.writeHead(403).end();
    });
    const link = await serve(redirect(`${store}/${'x'.repeat(3_000)}`));
    expect(await install(commandFor(link))).toMatchObject({ result: '0' });
  });

  test.each<[string, Answer, string]>([
    ['a link that is over', (_, response) => response.writeHead(410).end(), '2'],
    ['an endless redirect', (request, response) => redirect(`http://${request.headers.host}/`)(request, response), '2'],
    ['a redirect without a location', (_, response) => response.writeHead(302).end(), '2'],
    [
      'a download that ends early',
      (_, response) => {
        response.writeHead(200, { 'Content-Length': image.length });
        response.write(image.subarray(0, 5_000), () => response.destroy());
      },
      '2',
    ],
    ['an answer without a length', (_, response) => response.writeHead(200).end(image), '2'],
    [
      'a download that takes too long',
      (_, response) => {
        response.writeHead(200, { 'Content-Length': image.length });
        const drip = setInterval(() => response.write('x'), 100);
        response.on('close', () => clearInterval(drip));
      },
      '7',
    ],
    ['an image that is larger than the partition', send(Buffer.alloc(0x1e0001)), '8'],
  ])('reports %s, and keeps the old image', async (_, answer, result) => {
    const url = await serve(answer);
    expect(await install(commandFor(url))).toEqual({ result, otadata: OLD_IMAGE_SELECTED });
  });

  test('reports a file that is not an image, though its checksum is right', async () => {
    const other = Buffer.alloc(1_000, 'no image');
    const url = await serve(send(other));
    expect(await install(commandFor(url, other))).toEqual({ result: '9', otadata: OLD_IMAGE_SELECTED });
  });

  test('reports an address that is not a URL', async () => {
    expect(await install(commandFor('not a link'))).toEqual({ result: '6', otadata: OLD_IMAGE_SELECTED });
  });

  test('refuses an update while the running image is on trial, so that the bootloader can still go back', async () => {
    const url = await serve(send(image));
    expect(await install(commandFor(url), { state: 1 })).toEqual({ result: '10', otadata: '0 1 4' });
  });

  test.each([
    ['no checksum', { url: 'http://127.0.0.1:1', version: '1.1.0' }],
    ['a checksum that is null', { ...commandFor('http://127.0.0.1:1'), checksum: null }],
    ['a short checksum', { ...commandFor('http://127.0.0.1:1'), checksum: 'abc' }],
    ['no version', { url: 'http://127.0.0.1:1', checksum: sha256(image) }],
    ['a URL that is too long', commandFor(`http://127.0.0.1/${'x'.repeat(600)}`)],
    ['no object', 'text'],
  ])('does not read a command with %s', async (_, command) => {
    expect(await install(command)).toEqual({ result: 'unreadable', otadata: OLD_IMAGE_SELECTED });
  });
});
