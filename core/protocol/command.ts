/** PubSubClient's default buffer size. The client silently drops a longer MQTT packet. */
export const DEFAULT_PACKET_LIMIT_BYTES = 256;

export interface Command {
  readonly url: string;
  /** SHA-256 of the image, 64 hex digits. */
  readonly checksum: string;
  readonly version: string;
}

/** Contains only the three fields that field devices read, because every byte counts against their packet limit. */
export const encodeCommand = ({ url, checksum, version }: Command): string =>
  JSON.stringify({ url, checksum, version });

/**
 * Length in bytes of the QoS 1 PUBLISH packet that carries `payload`: fixed header, remaining length, topic with its
 * length, packet identifier, payload (MQTT 3.1.1, sections 2.2 and 3.3).
 */
export function publishPacketBytes(topic: string, payload: string): number {
  const remaining = 2 + Buffer.byteLength(topic) + 2 + Buffer.byteLength(payload);
  return 1 + remainingLengthBytes(remaining) + remaining;
}

/** Says why a command does not fit into one packet of its model; undefined if it fits. */
export function packetProblem(topic: string, payload: string, limitBytes: number): string | undefined {
  const bytes = publishPacketBytes(topic, payload);
  if (bytes <= limitBytes) return undefined;
  return `the command needs a packet of ${bytes} bytes, this model accepts ${limitBytes}: shorten the version or the host name, or raise the model's packetLimitBytes`;
}

/** Each byte carries seven bits (MQTT 3.1.1, section 2.2.3). */
function remainingLengthBytes(length: number): number {
  return length < 128 ? 1 : 1 + remainingLengthBytes(Math.floor(length / 128));
}

/**
 * Maximum commands per invocation. All are sent at once, so an invocation takes as long as its slowest acknowledgement.
 */
export const MAX_COMMANDS_AT_ONCE = 500;
