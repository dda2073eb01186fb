/** PubSubClient's default receive buffer (MQTT_MAX_PACKET_SIZE), in bytes. */
export const DEFAULT_PACKET_LIMIT = 256;

/**
 * The size of an MQTT packet in bytes: one byte of type and flags, the encoded remaining length (7 bits per byte, MQTT
 * 3.1.1 section 2.2.3), and the remaining bytes.
 */
export function packetBytes(remainingLength: number): number {
  let lengthBytes = 1;
  for (let rest = remainingLength >>> 7; rest > 0; rest >>>= 7) lengthBytes += 1;
  return 1 + lengthBytes + remainingLength;
}
