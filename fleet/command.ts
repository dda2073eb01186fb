/** The fields of an OTA command that a device reads. Missing fields are empty, as with Arduino's JSON accessors. */
export interface OtaCommand {
  readonly url: string;
  /** SHA-256 in hex. It is not checked if it is empty. */
  readonly checksum: string;
  readonly version: string;
}

/** The command in a payload; undefined if the payload is not a JSON object. Devices ignore such a message. */
export function parseCommand(payload: Uint8Array): OtaCommand | undefined {
  const fields = parseObject(Buffer.from(payload).toString('utf8'));
  if (fields === undefined) return undefined;
  return { url: text(fields.url), checksum: text(fields.checksum), version: text(fields.version) };
}

function parseObject(json: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
