import { bytes, count, hex, percent } from '../text/format.ts';
import { type Fact, Facts } from '../ui/components.tsx';
import { type Column, ListTable } from '../ui/list-table.tsx';
import type { ParsedImage, Segment } from './image.ts';

/** The contents of an image: header, segments, description, check values. */
export function ImageContents({ image }: { readonly image: ParsedImage }) {
  const { segments = [], imageBytes = 0 } = image;
  return (
    <div className="image-contents">
      <SegmentMap segments={segments} imageBytes={imageBytes} />
      <SegmentTable segments={segments} />
      <div className="image-contents-facts">
        <section>
          <h3>Header</h3>
          <Facts of={headerFacts(image)} />
        </section>
        <section>
          <h3>Description</h3>
          {image.descriptor ? (
            <Facts of={descriptorFacts(image.descriptor)} />
          ) : (
            <p className="calm">The image has no description, so its project and version are unknown.</p>
          )}
        </section>
        <section>
          <h3>Check values</h3>
          <Facts of={checkFacts(image)} />
        </section>
      </div>
    </div>
  );
}

const kindOf = ({ flashMapped }: Segment) => (flashMapped ? 'mapped' : 'copied');
const placeOf = ({ flashMapped }: Segment) => (flashMapped ? 'run or read from flash' : 'copied to RAM');

/** The segments of the file in proportion. */
function SegmentMap({ segments, imageBytes }: { readonly segments: readonly Segment[]; readonly imageBytes: number }) {
  const label = segments.map((segment) => `${bytes(segment.dataBytes)} ${placeOf(segment)}`).join(', ');
  return (
    <div
      className="segment-map"
      role="img"
      aria-label={`${segments.length} segments in ${bytes(imageBytes)}: ${label}`}
    >
      {segments.map((segment, index) => (
        <span key={segment.fileOffset} className={kindOf(segment)} style={{ flexGrow: segment.dataBytes }}>
          {segment.dataBytes > imageBytes / 20 && index}
        </span>
      ))}
    </div>
  );
}

function SegmentTable({ segments }: { readonly segments: readonly Segment[] }) {
  const whole = segments.reduce((sum, { dataBytes }) => sum + dataBytes, 0);
  const columns: readonly Column<Segment>[] = [
    {
      name: 'Segment',
      cell: (segment) => (
        <>
          <i className={`swatch ${kindOf(segment)}`} /> {segments.indexOf(segment)}
        </>
      ),
    },
    {
      name: 'Load address',
      kind: 'number',
      cell: ({ loadAddress }) => <span className="mono">{hex(loadAddress)}</span>,
    },
    {
      name: 'File offset',
      kind: 'number',
      cell: ({ fileOffset }) => <span className="mono">{hex(fileOffset)}</span>,
    },
    { name: 'Bytes', kind: 'number', cell: ({ dataBytes }) => count(dataBytes) },
    { name: 'Share', kind: 'number', cell: ({ dataBytes }) => percent(dataBytes, whole) },
    { name: 'Memory', cell: placeOf },
  ];
  return <ListTable label="Segments" columns={columns} rows={segments} keyOf={({ fileOffset }) => fileOffset} />;
}

const known = (facts: readonly (Fact | false)[]): Fact[] => facts.filter((fact) => fact !== false);

/** A chip revision, which the header encodes as major × 100 + minor. */
const revision = (value: number) => `v${Math.floor(value / 100)}.${value % 100}`;

function headerFacts(image: ParsedImage): Fact[] {
  const { flashMode, flashBytes, entryAddress, minChipRevision: min, maxChipRevision: max } = image;
  const isLimit = (value: number | null | undefined) => typeof value === 'number' && value !== 0 && value !== 65_535;
  return known([
    { name: 'Chip', value: image.chip },
    entryAddress !== undefined && { name: 'Entry', value: <code>{hex(entryAddress)}</code> },
    { name: 'Flash', value: [flashMode, flashBytes && bytes(flashBytes)].filter(Boolean).join(', ') || 'not stated' },
    isLimit(min) && { name: 'Chip revision from', value: revision(min as number) },
    isLimit(max) && { name: 'Chip revision up to', value: revision(max as number) },
    image.imageBytes !== undefined && { name: 'Image', value: `${count(image.imageBytes)} bytes` },
    (image.trailingBytes ?? 0) > 0 && { name: 'Trailing bytes', value: `${count(image.trailingBytes ?? 0)} bytes` },
    { name: 'Signature', value: image.signature ?? 'none' },
  ]);
}

function descriptorFacts(descriptor: NonNullable<ParsedImage['descriptor']>): Fact[] {
  return known([
    { name: 'Version', value: descriptor.version },
    { name: 'Project', value: descriptor.projectName },
    { name: 'ESP-IDF', value: descriptor.idfVersion },
    { name: 'Built', value: `${descriptor.date} ${descriptor.time}` },
    descriptor.secureVersion > 0 && { name: 'Anti-rollback', value: descriptor.secureVersion },
    { name: 'ELF SHA-256', value: <code>{descriptor.elfSha256}</code> },
  ]);
}

function checkFacts({ checksum, appendedSha256, arduinoCrc }: ParsedImage): Fact[] {
  const holds = (value: { readonly stored: unknown; readonly calculated: unknown }) =>
    value.stored === value.calculated ? 'holds' : 'does not hold';
  return known([
    checksum !== undefined && { name: 'Checksum', value: `0x${checksum.stored.toString(16)}, ${holds(checksum)}` },
    appendedSha256 !== undefined && {
      name: 'Appended SHA-256',
      value: appendedSha256 === null ? 'none' : <span title={appendedSha256.stored}>{holds(appendedSha256)}</span>,
    },
    arduinoCrc !== null && arduinoCrc !== undefined && { name: 'CRC of the Arduino core', value: holds(arduinoCrc) },
  ]);
}
