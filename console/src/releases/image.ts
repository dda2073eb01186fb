/** An image as the service parsed it. A rejected file has only the parts that could be read. */
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

/** True if segments were parsed. */
export const isParsed = (image: ParsedImage): boolean => (image.segments?.length ?? 0) > 0;

export async function sha256(file: Blob): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', await file.arrayBuffer());
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
