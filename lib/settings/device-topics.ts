import { z } from 'zod';

/** Longest topic of an entry, before its placeholders are filled in. */
const MAX_LENGTH = 128;
/** Characters that stand for themselves in a JSON string and in an IoT policy. */
const PRINTABLE = /^[!#-[\]-~]+$/;
const PLACEHOLDER = /\{(\w*)\}/g;
const PLACEHOLDERS = ['prefix', 'deviceId'];

/** `retain` includes publishing: AWS IoT wants both permissions for a retained message. */
const ACTIONS = ['subscribe', 'publish', 'retain'] as const;
export type TopicAction = (typeof ACTIONS)[number];

const deviceTopic = z
  .strictObject({
    /**
     * A topic as in an IoT policy: `*` stands for any text, slashes included, and `?` for one character. `{prefix}` is
     * the first segment of all topics, `{deviceId}` the device itself.
     */
    topic: z.string().min(1).max(MAX_LENGTH),
    allow: z.array(z.enum(ACTIONS)).min(1),
  })
  .superRefine(({ topic }, context) => {
    const message = topicProblem(topic);
    if (message !== undefined) context.addIssue({ code: 'custom', path: ['topic'], message });
  });

export type DeviceTopic = z.infer<typeof deviceTopic>;

/**
 * What firmware 1.1.0 to 1.4.2 uses outside of its own two subtrees. AWS IoT closes the connection of a client that
 * subscribes or publishes elsewhere. No device may publish on a topic that others obey.
 */
const FIELD_FIRMWARE: DeviceTopic[] = [
  { topic: '{prefix}/control', allow: ['subscribe'] },
  { topic: '{prefix}/heater/{deviceId}/cmd', allow: ['subscribe'] },
  { topic: '{prefix}/sensors/*', allow: ['publish'] },
];

/** The setting `extraDeviceTopics`; a list that is given replaces the default. */
export const extraDeviceTopics = z.array(deviceTopic).default(FIELD_FIRMWARE);

function topicProblem(topic: string): string | undefined {
  if (/[+#]/.test(topic)) {
    return `"${topic}" has a wildcard of MQTT, which an IoT policy takes literally: write * for any text, also across slashes`;
  }
  if (!PRINTABLE.test(topic))
    return `"${topic}" has a character that a topic here may not have: expected printable ASCII without spaces, " and \\`;
  const unknown = [...topic.matchAll(PLACEHOLDER)]
    .map(([, name]) => String(name))
    .find((name) => !PLACEHOLDERS.includes(name));
  const rest = topic.replaceAll(PLACEHOLDER, '');
  if (unknown !== undefined || /[{}]/.test(rest)) {
    return `"${topic}" has a placeholder that is not known: expected {prefix} or {deviceId}`;
  }
  return undefined;
}

/**
 * Fills in the placeholders of a topic.
 * @param deviceId a device id, or the variable of an IoT policy that stands for it
 */
export const deviceTopicName = (topic: string, prefix: string, deviceId: string): string =>
  topic.replaceAll('{prefix}', () => prefix).replaceAll('{deviceId}', () => deviceId);
