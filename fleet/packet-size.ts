/** The receive buffer of PubSubClient as it comes (MQTT_MAX_PACKET_SIZE), in bytes. */
export const DEFAULT_PACKET_LIMIT = 256;

/**
 * The size of a whole MQTT packet in bytes: one byte of type and flags, the remaining length's own bytes (7 bits in
 * each, MQTT 3.1.1 section 2.2.3), and what they announce.
 */
export function packetBytes(remainingLength: number): number {
  let lengthBytes = 1;
  for (let rest = remainingLength >>> 7; rest > 0; rest >>>= 7) lengthBytes += 1;
  return 1 + lengthBytes + remainingLength;
}
