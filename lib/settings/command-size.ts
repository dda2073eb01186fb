import {
  commandTopic,
  DEVICE_VERSION_LENGTH,
  encodeCommand,
  publishPacketBytes,
  TOKEN_LENGTH,
} from '../../core/protocol/index.ts';
import { type Models, modelsSchema } from '../../core/release-policy/index.ts';

/** Longest id of today's field devices. */
const DEVICE_ID_LENGTH = 20;
/** `https://{10 characters}.execute-api.{region}.amazonaws.com`, with the longest region name (ap-southeast-N). */
const LONGEST_API_HOST = `${'x'.repeat(10)}.execute-api.ap-southeast-9.amazonaws.com`;

interface CommandSettings {
  readonly topicPrefix: string;
  readonly customDomain?: { readonly domainName: string } | undefined;
  readonly models: Models;
}

/** A sentence for each model whose devices cannot receive the longest command that these settings allow. */
export function commandSizeProblems(settings: CommandSettings): string[] {
  const bytes = longestPacketBytes(settings);
  const models = { ...modelsSchema.parse({ default: {} }), ...settings.models };
  return Object.entries(models)
    .filter(([, { packetLimitBytes, delivery }]) => delivery !== 'presigned' && bytes > packetLimitBytes)
    .map(
      ([model, { packetLimitBytes }]) =>
        `a command for a ${DEVICE_ID_LENGTH}-character device id and a ${DEVICE_VERSION_LENGTH}-character version is a packet of ${bytes} bytes, model "${model}" takes ${packetLimitBytes}: shorten topicPrefix or customDomain.domainName`,
    );
}

function longestPacketBytes({ topicPrefix, customDomain }: CommandSettings): number {
  const host = customDomain?.domainName ?? LONGEST_API_HOST;
  const payload = encodeCommand({
    url: `https://${host}/d/${'t'.repeat(TOKEN_LENGTH)}`,
    checksum: 'c'.repeat(64),
    version: 'v'.repeat(DEVICE_VERSION_LENGTH),
  });
  return publishPacketBytes(commandTopic(topicPrefix, 'devices', 'd'.repeat(DEVICE_ID_LENGTH)), payload);
}
