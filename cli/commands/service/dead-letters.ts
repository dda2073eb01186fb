import type { Command } from 'commander';
import { addCommand, addGroup, registerAction } from '../../session/index.ts';
import { count, deadLetterTable } from '../../text/index.ts';

export function addDeadLetters(program: Command): void {
  const group = addGroup(program, 'dead-letters', 'messages that a function could not handle');
  const list = addCommand(group, 'list', 'dead-letter queues with their number of messages', [
    'paku-ota dead-letters list',
  ]);
  registerAction<object, []>(list, async (session) => {
    session.show(await session.api.deadLetters(), ({ items }) => deadLetterTable(items));
  });
  const redrive = addCommand(group, 'redrive', 'give the messages of a queue to their function once more', [
    'paku-ota dead-letters redrive status',
  ]).argument('<queue>', 'as dead-letters list names it');
  registerAction<object, [string]>(redrive, async (session, _, queue) => {
    session.show(await session.api.redriveDeadLetters(queue), (moved) => [
      moved.messages === 0
        ? `${moved.queue}: there is nothing to move back`
        : `${moved.queue}: moving back ${count(moved.messages, 'message')}`,
    ]);
  });
}
