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

/** Attaches a consumer; `outcome` returns the bodies that fail. */
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
  it('delivers immediately without a batch window, and removes handled messages', async () => {
    attach({});
    queue.send('a');
    await clock.advance(0);
    expect(batches).toEqual([['a']]);
    expect(queue.messages).toEqual([]);
    expect(queue.isIdle).toBe(true);
  });

  it('collects messages until the batch window of the first has ended', async () => {
    attach({ windowSeconds: 5 });
    queue.send('a');
    await clock.advance(4_000);
    queue.send('b');
    expect(batches).toEqual([]);
    expect(queue.isIdle).toBe(false);
    await clock.advance(1_000);
    expect(batches).toEqual([['a', 'b']]);
  });

  it('does not wait for the window if a batch is full', async () => {
    attach({ windowSeconds: 5, batchSize: 2 });
    for (const body of ['a', 'b', 'c']) queue.send(body);
    await clock.advance(0);
    expect(batches).toEqual([['a', 'b']]);
  });

  it('has at most as many batches in flight as its concurrency', async () => {
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

  it('delivers the whole batch again after the visibility timeout if the consumer throws', async () => {
    attach({}, (bodies) => (batches.length === 1 ? throwing() : bodies.slice(1)));
    queue.send('a');
    await clock.advance(59_999);
    expect(batches).toEqual([['a']]);
    await clock.advance(1);
    expect(batches).toEqual([['a'], ['a']]);
    expect(queue.messages).toEqual([]);
  });

  it('delivers only the failed messages again', async () => {
    attach({ windowSeconds: 1 }, (bodies) => (batches.length === 1 ? bodies.filter((body) => body === 'b') : []));
    queue.send('a');
    queue.send('b');
    await clock.advance(70_000);
    expect(batches).toEqual([['a', 'b'], ['b']]);
  });

  it('moves a message to the dead-letter queue after its last receive', async () => {
    attach({}, throwing);
    queue.send('poison');
    await clock.advance(10 * 60_000);
    expect(batches).toHaveLength(3);
    expect(queue.messages).toEqual([]);
    expect(dead.messages.map(({ body }) => body)).toEqual(['poison']);
  });

  it('delivers nothing after it is closed', async () => {
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

  it('has the unhandled messages after a kill, even if the file ends in a partial line', async () => {
    const file = await newFile();
    queue.recordIn(openJournal(file));
    for (const body of ['a', 'b', 'c']) queue.send(body);
    attach({ batchSize: 1, concurrency: 1 }, (bodies) => bodies.filter((body) => body !== 'a'));
    await clock.advance(1_000);
    appendFileSync(file, '{"id":"half of');

    for (let starts = 0; starts < 2; starts++) {
      queue = newQueue();
      queue.recordIn(openJournal(file));
      expect(queue.messages.map(({ body }) => body)).toEqual(['b', 'c']);
    }
    batches = [];
    attach({ windowSeconds: 1 });
    await clock.advance(1_000);
    expect(batches).toEqual([['b', 'c']]);
    queue = newQueue();
    queue.recordIn(openJournal(file));
    expect(queue.messages).toEqual([]);
  });

  it('does not grow with removed messages', async () => {
    const file = await newFile();
    const journal = openJournal(file);
    for (let n = 0; n < 25_000; n++) {
      journal.add({ id: String(n), queue: 'work', body: 'x', sentAt: 0 });
      journal.remove(String(n));
    }
    expect(statSync(file).size).toBeLessThan(1024 * 1024);
  });

  it('continues in memory on a full disk, and reports it', async () => {
    const file = await newFile();
    queue.recordIn(openJournal(file));
    rmSync(file);
    mkdirSync(file);
    queue.send('a');
    expect(failures).toEqual([expect.stringContaining('EISDIR')]);
    attach({});
    await clock.advance(0);
    expect(batches).toEqual([['a']]);
  });

  it('has all messages in the file once the disk has space again, including those of the meantime', async () => {
    const file = await newFile();
    queue.recordIn(openJournal(file));
    rmSync(file);
    mkdirSync(file);
    queue.send('a');
    // The partial line that still fitted on the disk.
    rmSync(file, { recursive: true });
    appendFileSync(file, '{"id":"half of');
    queue.send('b');
    queue.send('c');
    queue = newQueue();
    queue.recordIn(openJournal(file));
    expect(queue.messages.map(({ body }) => body)).toEqual(['a', 'b', 'c']);
  });
});

describe('a queue with an interceptor', () => {
  it('delivers copies, and later messages first', async () => {
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
