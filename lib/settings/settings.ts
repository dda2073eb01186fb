import type { Node } from 'constructs';
import { z } from 'zod';
import { DATABASE_ENGINE } from '../../core/db/index.ts';
import { modelsSchema, signingFields } from '../../core/release-policy/index.ts';
import { fieldErrors } from '../../core/util/index.ts';
import { commandSizeProblems } from './command-size.ts';
import { extraDeviceTopics } from './device-topics.ts';
import { foreignTopicProblems } from './foreign-topics.ts';
import { DEFAULT_TOPIC_PREFIX, nameSchema, prefixProblem } from './name.ts';
import { signingProblems } from './signing.ts';

const topicSegment = z.string().regex(/^[A-Za-z0-9_-]{1,32}$/, 'expected 1 to 32 of A-Z a-z 0-9 _ -');

/** Everything that a deployment may choose: the `paku-ota` object in the context of cdk.json (or cdk.context.json). */
const settingsSchema = z
  .strictObject({
    /** Names the stacks, and with them everything that an account has once. */
    name: nameSchema,
    /** First segment of every topic. */
    topicPrefix: topicSegment.optional(),
    /** Topic family of the command of a device that has sent nothing on either family yet. */
    commandFamily: z.enum(['devices', 'edge']).default('devices'),
    /** `publish` for regions without SendDirectMessage. */
    commandTransport: z.enum(['direct', 'publish']).default('direct'),
    /** What differs from the defaults, by device model. */
    models: modelsSchema,
    ...signingFields,
    /** What devices may do outside of their own two subtrees. */
    extraDeviceTopics,
    /**
     * Takes the messages of a device from any client that may publish on its topics: for devices that connect with
     * another client id than their device id, or behind a bridge.
     */
    acceptAnyClientId: z.boolean().default(false),
    /**
     * Model of devices that report none, for a fleet of one model. Without it, such a device is updated only by rollouts
     * that name it by its id, until an operator states its model.
     */
    defaultModel: z.string().trim().toLowerCase().min(1).max(64).optional(),
    /**
     * `hold` takes a device that reports another model or MAC address out of rollouts until an operator accepts it.
     * `accept` accepts it at once: devices choose their own model then.
     */
    identityChanges: z.enum(['hold', 'accept']).default('hold'),
    /**
     * When a device has published a status with another certificate, those of its certificates that were created before
     * it are revoked. `false` is for devices that keep several certificates in use.
     */
    revokeOlderCertificates: z.boolean().default(true),
    /**
     * A second person, with another IAM identity, approves the start of each rollout, its resumption, a retry of failed
     * devices, and a stage before its gate.
     */
    requireApproval: z.boolean().default(false),
    database: z
      .strictObject({
        /** In Aurora capacity units; 0 lets the cluster pause. */
        minCapacity: z.number().min(0).max(256).multipleOf(0.5).default(0),
        maxCapacity: z.number().min(1).max(256).multipleOf(0.5).default(2),
        /** Minor version of Aurora PostgreSQL. AWS withdraws old ones from the creation of clusters. */
        engineVersion: z
          .string()
          .regex(/^1[6-9]\.\d{1,2}$/, 'expected a version of Aurora PostgreSQL from 16 on, such as 17.7')
          .default(DATABASE_ENGINE.version),
        autoPauseMinutes: z.number().int().min(5).max(1440).default(5),
        /** A security group of the cluster's network that may connect to the cluster itself, such as Grafana's. */
        allowedSecurityGroupId: z
          .string()
          .regex(/^sg-[0-9a-f]{8,17}$/, 'expected sg- and 8 to 17 hexadecimal digits')
          .optional(),
      })
      .refine(({ minCapacity, maxCapacity }) => minCapacity <= maxCapacity, {
        path: ['minCapacity'],
        message: 'it is above maxCapacity',
      })
      .prefault({}),
    /** Minutes between two runs of the orchestrator. */
    scheduleMinutes: z.number().int().min(1).max(60).default(1),
    /** Minutes between two checks of the database in idle mode; 0 disables idle mode, so the database never pauses. */
    idleSweepMinutes: z.number().int().min(0).max(1440).default(60),
    /** What `cdk destroy` does with the database and the firmware. */
    dataRemovalPolicy: z.enum(['retain', 'destroy']).default('retain'),
    /** Days after which events, closed updates, samples and rejected messages are deleted. */
    historyDays: z.number().int().min(7).max(3650).default(400),
    logRetentionDays: z.union([z.literal(7), z.literal(14), z.literal(30), z.literal(90), z.literal(365)]).default(30),
    /** Domain name of the front door; the certificate must be in the region of the deployment. */
    customDomain: z
      .strictObject({ domainName: z.string().min(4), certificateArn: z.string().startsWith('arn:') })
      .optional(),
    /** An existing network for the database, with at least two isolated subnets in two availability zones. */
    vpc: z
      .strictObject({
        vpcId: z.string().startsWith('vpc-'),
        availabilityZones: z.array(z.string()).min(2),
        isolatedSubnetIds: z.array(z.string().startsWith('subnet-')).min(2),
      })
      .optional(),
    /** Address that gets a mail for every alarm. */
    alarmEmail: z.email().optional(),
  })
  .superRefine(({ name, topicPrefix }, context) => {
    const message = prefixProblem(name, topicPrefix);
    if (message !== undefined) context.addIssue({ code: 'custom', path: ['topicPrefix'], message });
  })
  .transform((settings) => ({ ...settings, topicPrefix: settings.topicPrefix ?? DEFAULT_TOPIC_PREFIX }))
  .superRefine((settings, context) => {
    for (const message of commandSizeProblems(settings))
      context.addIssue({ code: 'custom', path: ['topicPrefix'], message });
    const topicProblems = foreignTopicProblems(settings.topicPrefix, settings.extraDeviceTopics);
    for (const [path, message] of [...topicProblems, ...signingProblems(settings)])
      context.addIssue({ code: 'custom', path, message });
  });

export type Settings = z.infer<typeof settingsSchema>;

/** @throws Error that names every wrong setting, what it is and what was expected */
export function parseSettings(input: unknown): Settings {
  const parsed = settingsSchema.safeParse(input ?? {});
  if (parsed.success) return parsed.data;
  const problems = fieldErrors(parsed.error).map(({ field, message }) => `  - ${field || '(settings)'}: ${message}`);
  throw new Error(`The "paku-ota" settings in the CDK context are not valid:\n${problems.join('\n')}`);
}

/** The only place that reads CDK context; `-c paku-ota='{…}'` on the command line arrives as a string. */
export function readSettings(node: Node): Settings {
  const context: unknown = node.tryGetContext('paku-ota');
  return parseSettings(typeof context === 'string' ? JSON.parse(context) : context);
}
