import type { Command } from 'commander';
import { parseAttributeConditions } from '../../api/attribute-text.ts';
import { parseFactConditions } from '../../api/fact-text.ts';
import type { TargetFilter } from '../../api/rollouts.ts';
import { CliError, EXIT } from './failure.ts';
import { listOption } from './options.ts';

/** The flags that select devices, each with the same meaning in every command. */
export interface FilterFlags {
  readonly group?: string[];
  readonly device?: string[];
  readonly mac?: string[];
  readonly from?: string[];
  readonly attribute?: string[];
  readonly fact?: string[];
  readonly exceptGroup?: string[];
  readonly exceptDevice?: string[];
  readonly exceptMac?: string[];
  readonly exceptFrom?: string[];
  readonly exceptAttribute?: string[];
  readonly exceptFact?: string[];
}

export const addFilterFlags = (command: Command): Command =>
  command
    .option('--group <group>', 'devices of a group; may be repeated', listOption)
    .option('--device <id>', 'one device, by id; may be repeated', listOption)
    .option('--mac <address>', 'one device by its MAC address; may be repeated', listOption)
    .option('--from <version>', 'devices on this version; may be repeated', listOption)
    .option(
      '--attribute <name=value>',
      'devices with this attribute; revision=B,C: with one of these values; may be repeated',
      conditionOption,
    )
    .option(
      '--fact <condition>',
      'devices that state this: board_revision=B,C or battery_percent>=50; may be repeated',
      conditionOption,
    )
    .option('--except-group <group>', 'no device of this group; may be repeated', listOption)
    .option('--except-device <id>', 'not this device; may be repeated', listOption)
    .option('--except-mac <address>', 'not the device with this MAC address; may be repeated', listOption)
    .option('--except-from <version>', 'no device on this version; may be repeated', listOption)
    .option(
      '--except-attribute <name=value>',
      'no device with this attribute; devices without it are not excluded; may be repeated',
      conditionOption,
    )
    .option(
      '--except-fact <condition>',
      'no device that states this; devices that do not state it are not excluded; may be repeated',
      conditionOption,
    );

/**
 * The conditions of an option that may be repeated. `revision=B,C` is two: a part without a name has the name before it.
 * A comma in quotes separates nothing.
 */
export function conditionOption(value: string, before: readonly string[] = []): string[] {
  let name: string | undefined;
  const parts = value.match(/(?:"(?:[^"\\]|\\.)*"|[^,])+/g) ?? [];
  const read = parts.map((text) => {
    const part = text.trim();
    if (/[=<>]/.test(part) || name === undefined) {
      name = /^([^=<>]+)=/.exec(part)?.[1];
      return part;
    }
    return `${name}=${part}`;
  });
  return [...before, ...read.filter((part) => part !== '')];
}

/** The filter that the flags describe; empty without any. @throws CliError for a text that is not a condition */
export function readFilter({ device, mac, group, from, attribute, fact, ...flags }: FilterFlags): TargetFilter {
  const except = omitUndefined({
    device_ids: flags.exceptDevice,
    mac_addresses: flags.exceptMac,
    groups: flags.exceptGroup,
    versions: flags.exceptFrom,
    metadata: flags.exceptAttribute && readConditions(flags.exceptAttribute),
    facts: flags.exceptFact && readFacts(flags.exceptFact),
  });
  return omitUndefined({
    device_ids: device,
    mac_addresses: mac,
    groups: group,
    versions: from,
    metadata: attribute && readConditions(attribute),
    facts: fact && readFacts(fact),
    except: Object.keys(except).length === 0 ? undefined : except,
  }) as TargetFilter;
}

const omitUndefined = (values: object) =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));

function readConditions(texts: readonly string[]) {
  const read = parseAttributeConditions(texts);
  if ('attributes' in read) return read.attributes;
  throw new CliError(
    `"${read.invalid}" is not an attribute; expected a form like site=rome or site=rome,milan`,
    EXIT.usage,
  );
}

function readFacts(texts: readonly string[]) {
  const read = parseFactConditions(texts);
  if ('facts' in read) return read.facts;
  throw new CliError(
    `"${read.invalid}" is not a condition on a fact, or contradicts one before it; expected name=value, name>=number or name<=number`,
    EXIT.usage,
  );
}
