import * as z from 'zod';
import { describeRevision } from '../protocol/index.ts';

/** What the header and the size of an image say about the boards that it is for. A limit that is not set is left out. */
export const imageLimits = z.strictObject({
  slot_bytes: z.number(),
  min_chip_revision: z.number().optional(),
  max_chip_revision: z.number().optional(),
  flash_bytes: z.number().optional(),
});
export type ImageLimits = z.infer<typeof imageLimits>;

/** The facts that an image can contradict, each with the rule of assignment that this breaks. */
export const BARS = ['slot', 'old chip', 'new chip', 'flash'] as const;
export type Bar = (typeof BARS)[number];

export const isBar = (rule: string | null): rule is Bar => BARS.some((bar) => bar === rule);

/** What devices state: one of them, or several from the least to the most. */
export interface Stated {
  readonly least: number;
  readonly most: number;
}

/** Why an image is not for a device: what it needs, and what the device states. */
export const describeBar = (bar: Bar, limits: ImageLimits, device: number): string =>
  `${NEEDS[bar](limits)}, the device reports ${REPORTS[bar]({ least: device, most: device })}`;

/** The same of several devices. */
export const describeBarOfMany = (bar: Bar, limits: ImageLimits, stated: Stated): string =>
  `${NEEDS[bar](limits)}, they report ${REPORTS[bar](stated)}`;

/** What has to happen so that the device is updated. */
export const BAR_ENDS: Readonly<Record<Bar, string>> = {
  slot: 'nothing, unless it reports a larger slot or the rollout sends a smaller image',
  'old chip': 'nothing: this image does not boot on it',
  'new chip': 'nothing: this image does not boot on it',
  flash: 'nothing, unless the rollout sends an image that is built for this flash',
};

const bytes = (count: number | undefined) => (count ?? 0).toLocaleString('en');
const revision = (value: number | undefined) => describeRevision(value ?? 0);

const NEEDS: Readonly<Record<Bar, (limits: ImageLimits) => string>> = {
  slot: ({ slot_bytes: size }) => `the image has ${bytes(size)} bytes`,
  'old chip': ({ min_chip_revision: min }) => `the image needs chip revision ${revision(min)} or later`,
  'new chip': ({ max_chip_revision: max }) => `the image is for chip revisions up to ${revision(max)}`,
  flash: ({ flash_bytes: size }) => `the image is built for ${bytes(size)} bytes of flash`,
};

const range = ({ least, most }: Stated, text: (value: number) => string) =>
  least === most ? text(least) : `${text(least)} to ${text(most)}`;

const REPORTS: Readonly<Record<Bar, (stated: Stated) => string>> = {
  slot: (stated) => `${stated.least === stated.most ? 'a slot' : 'slots'} of ${range(stated, bytes)}`,
  'old chip': (stated) => range(stated, revision),
  'new chip': (stated) => range(stated, revision),
  flash: (stated) => range(stated, bytes),
};
