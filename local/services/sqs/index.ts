export { QueueJournal } from './queue-journal.ts';
export { type Consumer, LocalQueue, type Message, type Queues, queueByUrl } from './queues.ts';
export { sqsService } from './sqs.ts';
