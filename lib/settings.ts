import type { Node } from 'constructs';
import { z } from 'zod';
import {
  commandTopic,
  DEVICE_VERSION_LENGTH,
  encodeCommand,
  type Models,
  modelsSchema,
  publishPacketBytes,
  type Signing,
  signingFields,
  signingOf,
  TOKEN_LENGTH,
} from '../core/policy/index.ts';
import { fieldErrors } from '../core/util/index.ts';

/** Longest id of today's field devices. */
const DEVICE_ID_LENGTH = 20;
/** `https://{10 characters}.execute-api.{region}.amazonaws.com`, with the longest region name (ap-southeast-N). */
const LONGEST_API_HOST = `${'x'.repeat(10)}.execute-api.ap-southeast-9.amazonaws.com`;

const topicSegment = z.string().regex(/^[A-Za-z0-9_-]{1,32}$/, 'expected 1 to 32 of A-Z a-z 0-9 _ -');

/** AWS gives the environment of a function 4 KiB in all; the rest of it is ARNs and URLs. */
const MODELS_AND_KEYS_BYTES = 2_048;

/** Everything that a deployment may choose: the `paku-ota` object in the context of cdk.json (or cdk.context.json). */
const settingsSchema = z
  .strictObject({
    /** First segment of every topic. */
    topicPrefix: topicSegment.default('paku'),
    /** Where a device that was never heard on either family gets its command. */
    commandFamily: z.enum(['devices', 'edge']).default('devices'),
    /** `publish` for regions without SendDirectMessage. */
    commandTransport: z.enum(['direct', 'publish']).default('direct'),
    /** By device model. */
    models: modelsSchema,
    ...signingFields,
    /** Topic filters that devices use beside their own two subtrees; `{deviceId}` stands for their id. */
    extraDeviceTopics: z.array(z.string().min(1).max(128)).default([]),
    database: z
      .strictObject({
        /** Aurora capacity units; 0 lets the cluster pause. */
        minCapacity: z.number().min(0).max(256).multipleOf(0.5).default(0),
        maxCapacity: z.number().min(1).max(256).multipleOf(0.5).default(2),
        autoPauseMinutes: z.number().int().min(5).max(1440).default(5),
        /** A security group of the cluster's network that may connect to the cluster itself, such as Grafana's. */
        allowedSecurityGroupId: z
          .string()
          .regex(/^sg-[0-9a-f]{8,17}$/, 'expected sg- and 8 to 17 hexadecimal digits')
          .optional(),
      })
      .prefault({}),
    /** Minutes between two looks of the orchestrator. */
    scheduleMinutes: z.number().int().min(1).max(60).default(1),
    /** Minutes between two looks of the orchestrator while nothing goes on; 0 keeps the database awake. */
    idleSweepMinutes: z.number().int().min(0).max(1440).default(60),
    /** What `cdk destroy` does with the database and the firmware. */
    dataRemovalPolicy: z.enum(['retain', 'destroy']).default('retain'),
    /** Days for which events, ended updates, samples and rejected messages are kept. */
    historyDays: z.number().int().min(7).max(3650).default(400),
    logRetentionDays: z.union([z.literal(7), z.literal(14), z.literal(30), z.literal(90), z.literal(365)]).default(30),
    /** Front door under a name of your own; the certificate must be in the deployment's region. */
    customDomain: z
      .strictObject({ domainName: z.string().min(4), certificateArn: z.string().startsWith('arn:') })
      .optional(),
    /** Put the database into a network that exists, with at least two isolated subnets in two zones. */
    vpc: z
      .strictObject({
        vpcId: z.string().startsWith('vpc-'),
        availabilityZones: z.array(z.string()).min(2),
        isolatedSubnetIds: z.array(z.string().startsWith('subnet-')).min(2),
      })
      .optional(),
    /** Gets every alarm. */
    alarmEmail: z.email().optional(),
  })
  .superRefine((settings, context) => {
    for (const [model, { packetLimitBytes, delivery }] of Object.entries({
      default: defaultModel(),
      ...settings.models,
    })) {
      const bytes = longestPacketBytes(settings);
      if (delivery !== 'presigned' && bytes > packetLimitBytes) {
        context.addIssue({
          code: 'custom',
          path: ['topicPrefix'],
          message: `a command for a ${DEVICE_ID_LENGTH}-character device id and a ${DEVICE_VERSION_LENGTH}-character version is a packet of ${bytes} bytes, model "${model}" takes ${packetLimitBytes}: shorten topicPrefix or customDomain.domainName`,
        });
      }
    }
    for (const [path, message] of signingProblems(settings)) context.addIssue({ code: 'custom', path, message });
  });

export type Settings = z.infer<typeof settingsSchema>;

/** @throws Error that names every wrong setting, what it is and what was expected */
export function parseSettings(input: unknown): Settings {
  const parsed = settingsSchema.safeParse(input ?? {});
  if (parsed.success) return parsed.data;
  const problems = fieldErrors(parsed.error).map(({ field, message }) => `  - ${field || '(settings)'}: ${message}`);
  throw new Error(`The "paku-ota" settings in the CDK context are not valid:\n${problems.join('\n')}`);
}

/** The only place that reads CDK context; `-c paku-ota='{…}'` on the command line gives text. */
export function readSettings(node: Node): Settings {
  const context: unknown = node.tryGetContext('paku-ota');
  return parseSettings(typeof context === 'string' ? JSON.parse(context) : context);
}

function longestPacketBytes(settings: {
  topicPrefix: string;
  customDomain?: { domainName: string } | undefined;
}): number {
  const host = settings.customDomain?.domainName ?? LONGEST_API_HOST;
  const payload = encodeCommand({
    url: `https://${host}/d/${'t'.repeat(TOKEN_LENGTH)}`,
    checksum: 'c'.repeat(64),
    version: 'v'.repeat(DEVICE_VERSION_LENGTH),
  });
  return publishPacketBytes(commandTopic(settings.topicPrefix, 'devices', 'd'.repeat(DEVICE_ID_LENGTH)), payload);
}

/** What holds for models that say nothing else, as the functions read it. */
export const signingSettings = (settings: Signing): string => JSON.stringify(signingOf(settings, {}));

/** Whether there is a key that could have signed what lies beside an upload. */
export const trustsDetachedSignatures = (settings: Settings): boolean =>
  [{}, ...Object.values(settings.models)].some((model) => signingOf(settings, model).trustedPublicKeys.length > 0);

function signingProblems(settings: Signing & { readonly models: Models }): [path: string[], message: string][] {
  const problems: [string[], string][] = [];
  const named = Object.entries(settings.models).map(([name, model]) => [['models', name], model] as const);
  for (const [path, model] of [[[], {}] as const, ...named]) {
    const { requireSignedFirmware, trustedKeyDigests, trustedPublicKeys } = signingOf(settings, model);
    if (requireSignedFirmware && trustedKeyDigests.length + trustedPublicKeys.length === 0)
      problems.push([
        [...path, 'requireSignedFirmware'],
        'no key is trusted, so that no firmware could be registered: set trustedKeyDigests or trustedPublicKeys',
      ]);
  }
  const bytes = Buffer.byteLength(JSON.stringify(settings.models) + signingSettings(settings));
  if (bytes > MODELS_AND_KEYS_BYTES)
    problems.push([
      ['models'],
      `with the trusted keys they are ${bytes} bytes as JSON, the environment of a function has room for ${MODELS_AND_KEYS_BYTES}: trust fewer keys, for the whole deployment rather than model by model`,
    ]);
  return problems;
}

const defaultModel = () => modelsSchema.parse({ default: {} }).default as NonNullable<Settings['models'][string]>;
