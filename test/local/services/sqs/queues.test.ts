import { appendFileSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { QueueJournal } from '../../../../local/services/sqs/queue-journal.ts';
import { type Consumer, LocalQueue } from '../../../../local/services/sqs/queues.ts';
import { ManualClock } from '../../../support/local/manual-clock.ts';

const ARN = 'arn:aws:sqs:eu-west-1:000000000000:';
const REDRIVE = { deadLetterArn: `${ARN}dead`, maxReceiveCount: 3 };

let clock: ManualClock;
let dead: LocalQueue;
let queue: LocalQueue;
/** Bodies of each batch, in the order of delivery. */
let batches: string[][];

beforeEach(() => {
  clock = new ManualClock();
  batches = [];
  dead = new LocalQueue({ name: 'dead', arn: `${ARN}dead`, visibilityTimeoutSeconds: 30 }, () => undefined, clock);
  queue = newQueue();
});

const newQueue = () =>
  new LocalQueue(
    { name: 'work', arn: `${ARN}work`, visibilityTimeoutSeconds: 60, redrive: REDRIVE },
    (arn) => (arn === dead.settings.arn ? dead : undefined),
    clock,
  );

/** Consumes batches; `outcome` says which bodies fail. */
function attach(overrides: Partial<Omit<Consumer, 'consume'>>, outcome: (bodies: string[]) => string[] = () => []) {
  queue.attach({
    batchSize: 10,
    windowSeconds: 0,
    concurrency: 2,
    ...overrides,
    async consume(messages) {
      const bodies = messages.map(({ body }) => body);
      batches.push(bodies);
      const failed = outcome(bodies);
      return messages.filter(({ body }) => failed.includes(body)).map(({ id }) => id);
    },
  });
}

const throwing = () => {
  throw new Error('the database is away');
};

describe('a queue with a consumer', () => {
  it('delivers at once without a batching window, and forgets what succeeded', async () => {
    attach({});
    queue.send('a');
    await clock.advance(0);
    expect(batches).toEqual([['a']]);
    expect(queue.messages).toEqual([]);
    expect(queue.isIdle).toBe(true);
  });

  it('gathers messages until the window of the first is over', async () => {
    attach({ windowSeconds: 5 });
    queue.send('a');
    await clock.advance(4_000);
    queue.send('b');
    expect(batches).toEqual([]);
    expect(queue.isIdle).toBe(false);
    await clock.advance(1_000);
    expect(batches).toEqual([['a', 'b']]);
  });

  it('does not wait for the window when a batch is full', async () => {
    attach({ windowSeconds: 5, batchSize: 2 });
    for (const body of ['a', 'b', 'c']) queue.send(body);
    await clock.advance(0);
    expect(batches).toEqual([['a', 'b']]);
  });

  it('has no more batches under way than its concurrency', async () => {
    let finish: (failed: string[]) => void = () => {};
    const first = new Promise<string[]>((resolve) => {
      finish = resolve;
    });
    const started: string[] = [];
    queue.attach({
      batchSize: 1,
      windowSeconds: 0,
      concurrency: 1,
      consume: ([message]) => {
        started.push(message?.body ?? '');
        return started.length === 1 ? first : Promise.resolve([]);
      },
    });
    queue.send('a');
    queue.send('b');
    expect(started).toEqual(['a']);
    expect(queue.isIdle).toBe(false);
    finish([]);
    await clock.advance(0);
    expect(started).toEqual(['a', 'b']);
  });

  it('shows the whole batch again after the visibility timeout when the consumer throws', async () => {
    attach({}, (bodies) => (batches.length === 1 ? throwing() : bodies.slice(1)));
    queue.send('a');
    await clock.advance(59_999);
    expect(batches).toEqual([['a']]);
    await clock.advance(1);
    expect(batches).toEqual([['a'], ['a']]);
    expect(queue.messages).toEqual([]);
  });

  it('repeats only the messages that were reported as failed', async () => {
    attach({ windowSeconds: 1 }, (bodies) => (batches.length === 1 ? bodies.filter((body) => body === 'b') : []));
    queue.send('a');
    queue.send('b');
    await clock.advance(70_000);
    expect(batches).toEqual([['a', 'b'], ['b']]);
  });

  it('buries a message in the dead-letter queue after its last receive', async () => {
    attach({}, throwing);
    queue.send('poison');
    await clock.advance(10 * 60_000);
    expect(batches).toHaveLength(3);
    expect(queue.messages).toEqual([]);
    expect(dead.messages.map(({ body }) => body)).toEqual(['poison']);
  });

  it('delivers nothing after it was closed', async () => {
    attach({ windowSeconds: 5 });
    queue.send('a');
    queue.close();
    await clock.advance(60_000);
    expect(batches).toEqual([]);
    expect(queue.messages).toHaveLength(1);
  });
});

describe('a queue with a journal', () => {
  const failures: string[] = [];
  const openJournal = (file: string) => new QueueJournal(file, ({ message }) => failures.push(message));
  const newFile = async () => join(await mkdtemp(join(tmpdir(), 'paku-queues-')), 'queues.jsonl');

  it('has what was not handled when its process was killed, half a line at its end included', async () => {
    const file = await newFile();
    queue.keepIn(openJournal(file));
    for (const body of ['a', 'b', 'c']) queue.send(body);
    attach({ batchSize: 1, concurrency: 1 }, (bodies) => bodies.filter((body) => body !== 'a'));
    await clock.advance(1_000);
    appendFileSync(file, '{"id":"half of');

    for (let starts = 0; starts < 2; starts++) {
      queue = newQueue();
      queue.keepIn(openJournal(file));
      expect(queue.messages.map(({ body }) => body)).toEqual(['b', 'c']);
    }
    batches = [];
    attach({ windowSeconds: 1 });
    await clock.advance(1_000);
    expect(batches).toEqual([['b', 'c']]);
    queue = newQueue();
    queue.keepIn(openJournal(file));
    expect(queue.messages).toEqual([]);
  });

  it('does not grow with what is gone', async () => {
    const file = await newFile();
    const journal = openJournal(file);
    for (let n = 0; n < 25_000; n++) {
      journal.add({ id: String(n), queue: 'work', body: 'x', sentAt: 0 });
      journal.remove(String(n));
    }
    expect(statSync(file).size).toBeLessThan(1024 * 1024);
  });

  it('goes on in memory where the disk takes nothing, and says so', async () => {
    const file = await newFile();
    queue.keepIn(openJournal(file));
    rmSync(file);
    mkdirSync(file);
    queue.send('a');
    expect(failures).toEqual([expect.stringContaining('EISDIR')]);
    attach({});
    await clock.advance(0);
    expect(batches).toEqual([['a']]);
  });

  it('that was full for a while has all of it once there is room, what came meanwhile included', async () => {
    const file = await newFile();
    queue.keepIn(openJournal(file));
    rmSync(file);
    mkdirSync(file);
    queue.send('a');
    // The half line that still went on the disk.
    rmSync(file, { recursive: true });
    appendFileSync(file, '{"id":"half of');
    queue.send('b');
    queue.send('c');
    queue = newQueue();
    queue.keepIn(openJournal(file));
    expect(queue.messages.map(({ body }) => body)).toEqual(['a', 'b', 'c']);
  });
});

describe('a queue that a test makes unruly', () => {
  it('gives copies, and later ones first', async () => {
    const settings = { name: 'work', arn: `${ARN}work`, visibilityTimeoutSeconds: 60 };
    const onSend = (_: string, body: string) => (body === 'a' ? [5_000, 9_000] : [0]);
    queue = new LocalQueue(settings, () => undefined, clock, onSend);
    attach({});
    queue.send('a');
    queue.send('b');
    await clock.advance(10_000);
    expect(batches).toEqual([['b'], ['a'], ['a']]);
  });
});
