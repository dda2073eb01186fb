import type { HeldBy } from '../holds/index.ts';
import { describeHold } from '../policy/index.ts';
import type { PreviewGroup } from './preview-groups.ts';

export interface HeldGroup {
  readonly hold: HeldBy;
  /** The hold in one sentence. */
  readonly reason: string;
  readonly devices: number;
  /** Those of them that no other hold holds: the end of this one lets them be updated. */
  readonly byItAlone: number;
}

export interface BusyDevices {
  readonly rollout: string;
  /** `pending`: this rollout takes them over. `under way`: it waits for them. */
  readonly status: 'pending' | 'under way';
  readonly devices: number;
}

/** Groups that the same limit of an image bars have one reason, with the least and the most that any of them states. */
export function withStatedOfAll(groups: readonly PreviewGroup[]): PreviewGroup[] {
  const all = new Map<string, { least: number; most: number }>();
  const keyOf = ({ rule, image }: PreviewGroup) => JSON.stringify([rule, image]);
  for (const group of groups) {
    const { least, most } = group;
    if (least === null || most === null) continue;
    const known = all.get(keyOf(group)) ?? { least, most };
    all.set(keyOf(group), { least: Math.min(known.least, least), most: Math.max(known.most, most) });
  }
  return groups.map((group) => ({ ...group, ...all.get(keyOf(group)) }));
}

/** A group with the reason that keeps its devices from the update; undefined: they are updated. */
type Reasoned = PreviewGroup & { readonly reason: string | undefined };

/** The devices that are not updated, by reason, the most devices first. */
export function summarizeReasons(groups: readonly Reasoned[]): { reason: string; devices: number }[] {
  const reasons = new Map<string, number>();
  for (const { reason, devices } of groups) {
    if (reason !== undefined) reasons.set(reason, (reasons.get(reason) ?? 0) + devices);
  }
  return [...reasons].map(([reason, devices]) => ({ reason, devices })).sort((a, b) => b.devices - a.devices);
}

/** The devices of each hold, the most devices first. */
export function summarizeHeld(groups: readonly PreviewGroup[]): HeldGroup[] {
  const held = new Map<number, HeldGroup>();
  for (const { holds, devices } of groups) {
    const [hold] = holds;
    if (hold === undefined) continue;
    const before = held.get(hold.hold_id);
    const byItAlone = (before?.byItAlone ?? 0) + (holds.length === 1 ? devices : 0);
    held.set(hold.hold_id, {
      hold,
      reason: describeHold(hold),
      devices: (before?.devices ?? 0) + devices,
      byItAlone,
    });
  }
  return [...held.values()].sort((a, b) => b.devices - a.devices);
}

/** The devices that another rollout has assigned, by that rollout, the most devices first. */
export function summarizeBusy(groups: readonly PreviewGroup[]): BusyDevices[] {
  const held = new Map<string, BusyDevices>();
  for (const { holder, is_under_way, devices } of groups) {
    if (holder === null) continue;
    const status = is_under_way ? 'under way' : 'pending';
    const before = held.get(`${status} ${holder}`)?.devices ?? 0;
    held.set(`${status} ${holder}`, { rollout: holder, status, devices: before + devices });
  }
  return [...held.values()].sort((a, b) => b.devices - a.devices);
}
