// Runs in the worker thread of one function: loads its bundle and calls its handler with one event at a time.
// It is JavaScript because a worker starts without the TypeScript loader.
import { parentPort, workerData } from 'node:worker_threads';

const systemNow = Date.now;
if (workerData.ahead !== undefined) moveDate(new Int32Array(workerData.ahead));

const { handler } = await import(workerData.module);
if (typeof handler !== 'function') throw new Error(`${workerData.module} exports no function called handler`);

parentPort.on('message', async ({ event, requestId, deadline }) => {
  const context = {
    awsRequestId: requestId,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: '$LATEST',
    invokedFunctionArn: workerData.arn,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    callbackWaitsForEmptyEventLoop: true,
    getRemainingTimeInMillis: () => Math.max(0, deadline - systemNow()),
  };
  try {
    // Events and results are JSON, as on Lambda.
    parentPort.postMessage({ result: JSON.stringify(await handler(JSON.parse(event), context)) ?? 'null' });
  } catch (error) {
    parentPort.postMessage({ error: { message: error?.message ?? String(error), stack: error?.stack } });
  }
});

/** Replaces `Date` so that the current time is a number of seconds ahead, for the function and its libraries. */
function moveDate(ahead) {
  Date.now = () => systemNow() + ahead[0] * 1000;
  globalThis.Date = new Proxy(Date, {
    construct: (date, args, asked) => Reflect.construct(date, args.length === 0 ? [Date.now()] : args, asked),
  });
}
