import type { Command } from 'commander';
import { addCommand, addPaging, noteMore, type PagingOptions, readPages, registerAction } from '../../session/index.ts';
import { fleetText, rejectedMessageTable, tickText } from '../../text/index.ts';
import { addConsole } from './console.ts';
import { addDeadLetters } from './dead-letters.ts';
import { addEvents } from './events.ts';
import { addHolds } from './holds.ts';

/** Commands about the whole system. */
export function addServiceCommands(program: Command): void {
  addFleet(program);
  addRejectedMessages(program);
  addTick(program);
  addEvents(program);
  addHolds(program);
  addDeadLetters(program);
  addConsole(program);
}

function addFleet(program: Command): void {
  const command = addCommand(program, 'fleet', 'the fleet at a glance: versions, rollouts, what needs attention', [
    'paku-ota fleet',
  ]);
  registerAction<object, []>(command, async (session) => {
    session.show(await session.api.fleet(), (fleet) => fleetText(fleet, new Date()));
  });
}

function addRejectedMessages(program: Command): void {
  const command = addCommand(program, 'rejected-messages', 'messages of devices that could not be processed, and why', [
    'paku-ota rejected-messages --limit 10',
  ]);
  registerAction<PagingOptions, []>(addPaging(command), async (session, options) => {
    const page = await readPages(options, (query) => session.api.rejectedMessages(query));
    session.show(page, ({ items }) => rejectedMessageTable(items, new Date()));
    noteMore(session, page);
  });
}

function addTick(program: Command): void {
  const command = addCommand(program, 'tick', 'run the orchestrator now instead of at the next minute', [
    'paku-ota tick',
  ]);
  registerAction<object, []>(command, async (session) => {
    session.show(await session.api.tick(), tickText);
  });
}
