import type { Command } from 'commander';
import { acts, addCommand } from '../../session/command.ts';
import { addPaging, noteMore, type PagingOptions, readPages } from '../../session/paging.ts';
import { fleetText, rejectedMessageTable, tickText } from '../../text/service-text.ts';

/** What is about the whole system rather than one device, release or rollout. */
export function addServiceCommands(program: Command): void {
  addFleet(program);
  addRejectedMessages(program);
  addTick(program);
}

function addFleet(program: Command): void {
  const command = addCommand(program, 'fleet', 'the fleet at a glance: versions, rollouts, what needs attention', [
    'paku-ota fleet',
  ]);
  acts<object, []>(command, async (session) => {
    session.show(await session.api.fleet(), (fleet) => fleetText(fleet, new Date()));
  });
}

function addRejectedMessages(program: Command): void {
  const command = addCommand(program, 'rejected-messages', 'messages of devices that could not be processed, and why', [
    'paku-ota rejected-messages --limit 10',
  ]);
  acts<PagingOptions, []>(addPaging(command), async (session, options) => {
    const page = await readPages(options, (query) => session.api.rejectedMessages(query));
    session.show(page, ({ items }) => rejectedMessageTable(items, new Date()));
    noteMore(session, page);
  });
}

function addTick(program: Command): void {
  const command = addCommand(program, 'tick', 'let the orchestrator look now instead of at its next minute', [
    'paku-ota tick',
  ]);
  acts<object, []>(command, async (session) => {
    session.show(await session.api.tick(), tickText);
  });
}
