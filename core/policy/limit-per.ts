import * as z from 'zod';

/**
 * The most updates in flight for the devices with one value of an attribute, such as a site behind one modem. The
 * database checks the same.
 */
export const limitPer = z.strictObject({
  attribute: z.string().min(1).max(64),
  max: z.int().min(1).max(999_999),
});
export type LimitPer = z.infer<typeof limitPer>;
