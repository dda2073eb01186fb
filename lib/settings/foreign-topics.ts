import { type DeviceTopic, deviceTopicName } from './device-topics.ts';

/** Stands for the id of the device in a pattern; no topic has it. */
const OWN = '\u0001';
const ID_CHARACTER = /[A-Za-z0-9_:-]/;

/** One element of a pattern: the characters that it takes, and whether it takes any number of them. */
interface Token {
  readonly takes: string | 'any' | 'id';
  readonly repeats: boolean;
}

/**
 * What is wrong with each entry that reaches the subtrees of other devices: it would let a device act as another one, or
 * read the commands of another one.
 */
export function foreignTopicProblems(
  prefix: string,
  topics: readonly DeviceTopic[],
): [path: (string | number)[], message: string][] {
  const foreign = foreignSubtrees(prefix);
  return topics.flatMap(({ topic }, index): [(string | number)[], string][] => {
    const pattern = tokensOf(deviceTopicName(topic, prefix, OWN));
    if (!foreign.some((subtree) => meet(pattern, subtree))) return [];
    const message = `"${topic}" includes topics of other devices, under ${prefix}/edge/ or ${prefix}/devices/: name the device with {deviceId}, without a wildcard before it or beside it`;
    return [[['extraDeviceTopics', index, 'topic'], message]];
  });
}

/**
 * Everything below `edge/` and `devices/` except the subtree of the device, also by Basic Ingest, whose rule does not
 * look at the topic.
 */
function foreignSubtrees(prefix: string): Token[][] {
  const id: Token[] = [
    { takes: 'id', repeats: false },
    { takes: 'id', repeats: true },
  ];
  const others = [id, [...tokensOf(OWN), ...id], [...id, ...tokensOf(OWN)]];
  const ingest = [...tokensOf('$aws/rules/'), ...id, ...tokensOf('/')];
  const trees = ['edge', 'devices'].map((tree) => tokensOf(`${prefix}/${tree}/`));
  const all = trees.flatMap((tree) => [tree, [...ingest, ...tree]]);
  return all.flatMap((tree) => others.map((other) => [...tree, ...other, ...tokensOf('/*')]));
}

function tokensOf(pattern: string): Token[] {
  return [...pattern].map((character) => {
    if (character === '*') return { takes: 'any', repeats: true };
    return { takes: character === '?' ? 'any' : character, repeats: false };
  });
}

/** True if any text matches both patterns. */
function meet([a, ...afterA]: readonly Token[], [b, ...afterB]: readonly Token[]): boolean {
  const [inA, inB] = [a === undefined ? [] : [a, ...afterA], b === undefined ? [] : [b, ...afterB]];
  if (a === undefined && b === undefined) return true;
  if (a?.repeats && meet(afterA, inB)) return true;
  if (b?.repeats && meet(inA, afterB)) return true;
  if (a === undefined || b === undefined || !overlap(a, b) || (a.repeats && b.repeats)) return false;
  return meet(a.repeats ? inA : afterA, b.repeats ? inB : afterB);
}

function overlap({ takes: a }: Token, { takes: b }: Token): boolean {
  if (a === 'any' || b === 'any' || a === b) return true;
  return (a === 'id' && ID_CHARACTER.test(b)) || (b === 'id' && ID_CHARACTER.test(a));
}
