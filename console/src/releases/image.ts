/** An image as the service parsed it; a rejected file has as much of it as could be read. */
export interface ParsedImage {
  readonly chip?: string;
  readonly imageBytes?: number;
  readonly trailingBytes?: number;
  readonly header?: { readonly chipId: number; readonly hashAppended: boolean } | null;
  readonly segments?: readonly Segment[];
  readonly entryAddress?: number;
  readonly flashMode?: string | null;
  readonly flashBytes?: number | null;
  readonly minChipRevision?: number | null;
  readonly maxChipRevision?: number | null;
  readonly checksum?: CheckValue<number>;
  readonly appendedSha256?: CheckValue<string> | null;
  readonly arduinoCrc?: CheckValue<number> | null;
  readonly descriptor?: Descriptor | null;
  readonly signature?: string;
}

export interface Segment {
  readonly loadAddress: number;
  readonly dataBytes: number;
  readonly fileOffset: number;
  readonly flashMapped: boolean;
}

interface CheckValue<T> {
  readonly stored: T;
  readonly calculated: T;
}

interface Descriptor {
  readonly version: string;
  readonly projectName: string;
  readonly idfVersion: string;
  readonly date: string;
  readonly time: string;
  readonly elfSha256: string;
  readonly secureVersion: number;
}

/** Whether there is something to show. */
export const isParsed = (image: ParsedImage): boolean => (image.segments?.length ?? 0) > 0;

const DESCRIPTOR_AT = 32;
const DESCRIPTOR_MAGIC = 0xabcd5432;
const VERSION_AT = 16;
const PROJECT_AT = 48;
const TEXT_BYTES = 32;

/** What a file says of itself before it is sent anywhere; undefined where it has no application description. */
export async function peek(file: Blob): Promise<{ version: string; project: string } | undefined> {
  const start = await file.slice(DESCRIPTOR_AT, DESCRIPTOR_AT + 256).arrayBuffer();
  if (start.byteLength < 256 || new DataView(start).getUint32(0, true) !== DESCRIPTOR_MAGIC) return undefined;
  const text = (at: number) => {
    const bytes = new Uint8Array(start, at, TEXT_BYTES);
    const end = bytes.indexOf(0);
    return new TextDecoder('latin1').decode(bytes.subarray(0, end === -1 ? TEXT_BYTES : end));
  };
  return { version: text(VERSION_AT), project: text(PROJECT_AT) };
}

export async function sha256(file: Blob): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', await file.arrayBuffer());
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
