import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LocalFunction } from '../../../../local/services/lambda/functions.ts';

let folder: string;
let functions: LocalFunction[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'paku-function-'));
  functions = [];
});

afterEach(() => Promise.all(functions.map((fn) => fn.close(0))));

/** A function whose bundle is the given source. */
async function deploy(
  source: string,
  overrides: { timeoutSeconds?: number; logFile?: string } = {},
): Promise<LocalFunction> {
  await writeFile(join(folder, 'index.mjs'), source);
  const fn = new LocalFunction({
    name: 'Sample',
    arn: 'arn:aws:lambda:eu-west-1:000000000000:function:Sample',
    codeFolder: folder,
    environment: { AWS_LAMBDA_FUNCTION_NAME: 'Sample', COLOR: 'green' },
    timeoutSeconds: 10,
    logFile: join(folder, 'Sample.log'),
    ...overrides,
  });
  functions.push(fn);
  return fn;
}

describe('a function', () => {
  it('gets the event and a context, and answers in JSON', async () => {
    const fn = await deploy(`export async function handler(event, context) {
      const left = context.getRemainingTimeInMillis();
      return { event, name: context.functionName, inTime: left > 0 && left <= 10_000, at: new Date(0), none: undefined };
    }`);
    expect(await fn.invoke({ n: 1, none: undefined })).toEqual({
      event: { n: 1 },
      name: 'Sample',
      inTime: true,
      at: '1970-01-01T00:00:00.000Z',
    });
  });

  it('sees only its own environment variables', async () => {
    const fn = await deploy('export const handler = async () => process.env');
    expect(await fn.invoke({})).toEqual({ AWS_LAMBDA_FUNCTION_NAME: 'Sample', COLOR: 'green' });
  });

  it('continues if its log cannot be written, as on a full disk', async () => {
    const source = 'export const handler = async () => { console.log("said"); throw new Error("why"); }';
    const fn = await deploy(source, { logFile: join(folder, 'no-such-folder', 'Sample.log') });
    await expect(fn.invoke({})).rejects.toThrow('why');
    await expect(fn.invoke({})).rejects.toThrow('why');
  });

  it('keeps its state between invocations', async () => {
    const fn = await deploy('let calls = 0; export const handler = async () => ++calls');
    expect([await fn.invoke({}), await fn.invoke({})]).toEqual([1, 2]);
  });

  it('handles two events concurrently, each in its own environment', async () => {
    const fn = await deploy(`let busy = 0;
      export async function handler() { busy++; await new Promise(setImmediate); return busy--; }`);
    expect(await Promise.all([1, 2, 3, 4, 5].map(() => fn.invoke({})))).toEqual([1, 1, 1, 1, 1]);
  });

  it('fails with its error and the end of its output, and handles the next event', async () => {
    const fn = await deploy(`export async function handler({ bad }) {
      if (!bad) return 'fine';
      console.log('about to fail');
      await new Promise((written) => process.stdout.write('', written));
      throw new TypeError('no such thing');
    }`);
    await expect(fn.invoke({ bad: true })).rejects.toThrow(/Sample: no such thing(.|\n)*about to fail/);
    expect(await fn.invoke({ bad: false })).toBe('fine');
    await fn.close();
    expect(await readFile(join(folder, 'Sample.log'), 'utf8')).toMatch(/about to fail\nTypeError: no such thing\n +at/);
  });

  it('is terminated after its timeout, and the next event gets a new environment', async () => {
    // Blocks its thread for good, without taking a processor from the other tests.
    const block = 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)';
    const fn = await deploy(`export const handler = async ({ stuck }) => { if (stuck) ${block}; return 'fine' }`, {
      timeoutSeconds: 3,
    });
    await expect(fn.invoke({ stuck: true })).rejects.toThrow('Task timed out after 3.00 seconds');
    expect(await fn.invoke({ stuck: false })).toBe('fine');
  });

  it('fails alone when it exits or throws outside the handler', async () => {
    const fn = await deploy(`export async function handler({ how }) {
      if (how === 'exit') process.exit(3);
      if (how === 'throw') await new Promise(() => setImmediate(() => { throw new Error('loose') }));
      return 'fine';
    }`);
    await expect(fn.invoke({ how: 'exit' })).rejects.toThrow('exit code 3');
    await expect(fn.invoke({ how: 'throw' })).rejects.toThrow('loose');
    expect(await fn.invoke({})).toBe('fine');
  });

  it('survives an error between two events', async () => {
    const fn = await deploy(`let calls = 0;
      export async function handler({ late }) {
        if (late) setTimeout(() => { throw new Error('too late') }, 20);
        return ++calls;
      }`);
    expect(await fn.invoke({ late: true })).toBe(1);
    const outcomes: unknown[] = [];
    while (outcomes.at(-1) !== 1) outcomes.push(await fn.invoke({}).catch((error: Error) => error.message));
    for (const outcome of outcomes) expect(String(outcome)).toMatch(/^\d+$|too late/);
  });

  it('reports why its bundle cannot be loaded', async () => {
    await expect((await deploy("throw new Error('COLOR is not set')")).invoke({})).rejects.toThrow('COLOR is not set');
    await expect((await deploy('export const other = 1')).invoke({})).rejects.toThrow(
      'exports no function called handler',
    );
  });

  it('gives a running invocation some time to finish when it is closed', async () => {
    const quick = await deploy('export const handler = async () => { await new Promise(setImmediate); return 1 }');
    const result = quick.invoke({});
    await quick.close();
    expect(await result).toBe(1);
    await expect(quick.invoke({})).rejects.toThrow('shutting down');

    const stuck = await deploy('export const handler = () => new Promise(() => setInterval(() => {}, 1000))');
    const failure = expect(stuck.invoke({})).rejects.toThrow('environment ended');
    await stuck.close(100);
    await failure;
  });
});
