import * as z from 'zod';

/**
 * A type of ids that takes no ids of another kind: a release's id given for a rollout's does not compile. Plain numbers
 * and texts are accepted, because ids arrive as such in paths, messages and tests; the row schemas below name the kind.
 */
type Id<Kind extends string, Value extends number | string> = Value & { readonly kindOfId?: Kind };

export type DeviceId = Id<'device', string>;
export type ReleaseId = Id<'release', number>;
export type RolloutId = Id<'rollout', number>;
export type UpdateId = Id<'update', number>;

/** Schemas of columns that hold an id. */
export const ID = {
  device: z.string() as z.ZodType<DeviceId>,
  release: z.int() as z.ZodType<ReleaseId>,
  rollout: z.int() as z.ZodType<RolloutId>,
  update: z.int() as z.ZodType<UpdateId>,
};
