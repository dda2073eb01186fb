import type { Sql } from '../db/index.ts';
import {
  type ControlGroup,
  describeConcentration,
  FEWEST_OF_VALUE,
  findFailingValue,
  type Halt,
  type HaltReason,
  type RolloutNumbers,
} from '../policy/index.ts';
import { gatesOf, loadEvidenceByValue, type RolloutRuntime } from '../rollouts/index.ts';

/** The halts whose devices are worth comparing; the reason of the others names the cause. */
const BY_OUTCOMES: readonly HaltReason[] = ['failure count', 'failure share', 'stage'];

/** Names the kind of devices that a gate failed on; empty if none stands out. */
export async function whichDevices(
  sql: Sql,
  rollout: RolloutRuntime,
  { code, steppingStone = rollout.firmware_version }: Halt,
  control: ControlGroup,
): Promise<string> {
  if (!BY_OUTCOMES.includes(code)) return '';
  const byValue = await loadEvidenceByValue(sql, rollout, steppingStone, code === 'stage' ? rollout.stage : null);
  const found = describeConcentration(byValue, control);
  return found === undefined ? '' : `. ${found}`;
}

/** The reason to halt because most devices with a covered value failed; undefined if there is none. */
export async function findFailing(
  sql: Sql,
  rollout: RolloutRuntime,
  { total, control }: RolloutNumbers,
): Promise<string | undefined> {
  const { first_stage_covers: names } = rollout;
  if (names === null || gatesOf(rollout).neverHalts || total.failed + total.silent < FEWEST_OF_VALUE) return undefined;
  const byValue = await loadEvidenceByValue(sql, rollout, rollout.firmware_version, null);
  return findFailingValue(byValue, names, control);
}
