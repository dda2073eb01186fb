import type { Command } from 'commander';
import { parseFactConditions } from '../../api/fact-text.ts';
import type { TargetFilter } from '../../api/rollouts.ts';
import { CliError, EXIT } from './failure.ts';
import { listOption, readAttributes } from './options.ts';

/** The flags that select devices, each with the same meaning in every command. */
export interface FilterFlags {
  readonly group?: string[];
  readonly device?: string[];
  readonly mac?: string[];
  readonly from?: string[];
  readonly attribute?: string[];
  readonly fact?: string[];
}

export const addFilterFlags = (command: Command): Command =>
  command
    .option('--group <group>', 'devices of a group; may be repeated', listOption)
    .option('--device <id>', 'one device, by id; may be repeated', listOption)
    .option('--mac <address>', 'one device by its MAC address; may be repeated', listOption)
    .option('--from <version>', 'devices on this version; may be repeated', listOption)
    .option('--attribute <name=value>', 'devices with this attribute; may be repeated', listOption)
    .option(
      '--fact <condition>',
      'devices that state this: board_revision=C or battery_percent>=50; may be repeated',
      listOption,
    );

/** The filter that the flags describe; empty without any. @throws CliError for a text that is not a condition */
export function readFilter({ device, mac, group, from, attribute, fact }: FilterFlags): TargetFilter {
  const filter = {
    device_ids: device,
    mac_addresses: mac,
    groups: group,
    versions: from,
    metadata: attribute && readAttributes(attribute),
    facts: fact && readFacts(fact),
  };
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined)) as TargetFilter;
}

function readFacts(texts: readonly string[]) {
  const read = parseFactConditions(texts);
  if ('facts' in read) return read.facts;
  throw new CliError(
    `"${read.invalid}" is not a condition on a fact; expected name=value, name>=number or name<=number`,
    EXIT.usage,
  );
}
