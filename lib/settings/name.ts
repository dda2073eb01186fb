import { z } from 'zod';

/** The name of a deployment that states none. */
export const DEFAULT_NAME = 'PakuOta';

export const DEFAULT_TOPIC_PREFIX = 'paku';

/** A provisioning template's name has at most 36 characters (AWS IoT API), and ours ends in `-devices`. */
const MAX_LENGTH = 28;

/** Name of the stack with everything but the data. The other stack, `<name>Data`, must not be another deployment's. */
export const nameSchema = z
  .string()
  .regex(
    new RegExp(`^[A-Za-z][A-Za-z0-9-]{0,${MAX_LENGTH - 1}}$`),
    `expected 1 to ${MAX_LENGTH} of A-Z a-z 0-9 -, the first a letter`,
  )
  .refine((name) => !name.endsWith('Data'), 'it ends in Data, as the names of data stacks do: choose another')
  .default(DEFAULT_NAME);

/**
 * Two deployments with one prefix would both take every message and both command every device, so only the deployment
 * with the default name has a prefix by default.
 * @returns what is wrong, if anything
 */
export const prefixProblem = (name: string, topicPrefix: string | undefined): string | undefined =>
  name === DEFAULT_NAME || topicPrefix !== undefined
    ? undefined
    : `the deployment ${name} must state it. No two deployments of an account and region may have the same: each would take the messages of the other's devices. That of ${DEFAULT_NAME} is "${DEFAULT_TOPIC_PREFIX}" by default`;

/** The source of the deployment's events on the default bus of the account. */
export const eventSourceOf = (name: string): string => (name === DEFAULT_NAME ? 'paku-ota' : `paku-ota.${name}`);
