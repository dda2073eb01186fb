/** What a device reads of an OTA command; absent fields are empty, as Arduino's JSON accessors give them. */
export interface OtaCommand {
  readonly url: string;
  /** SHA-256 in hex; an empty one is not checked. */
  readonly checksum: string;
  readonly version: string;
}

/** Gives the command in a payload, or undefined for one that is no JSON object, which devices ignore. */
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
