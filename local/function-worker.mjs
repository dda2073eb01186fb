// Runs inside the worker thread of one function: loads its bundle and calls its handler, one event at a time.
// Plain JavaScript, since a worker starts without the loader that reads TypeScript.
import { parentPort, workerData } from 'node:worker_threads';

const { handler } = await import(workerData.module);
parentPort.postMessage({ kind: 'ready' });

parentPort.on('message', async ({ event, requestId, deadline }) => {
  const context = {
    awsRequestId: requestId,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: '$LATEST',
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    callbackWaitsForEmptyEventLoop: true,
    getRemainingTimeInMillis: () => Math.max(0, deadline - Date.now()),
  };
  try {
    parentPort.postMessage({ kind: 'result', value: await handler(event, context) });
  } catch (error) {
    parentPort.postMessage({ kind: 'error', message: error?.message ?? String(error), stack: error?.stack });
  }
});
