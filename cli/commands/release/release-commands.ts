import { type Command, Option } from 'commander';
import { describeRevocation } from '../../../api/describe-revocation.ts';
import { OVERRIDABLE } from '../../../core/release-policy/index.ts';
import {
  addCommand,
  addGroup,
  addPaging,
  confirmOrStop,
  integerOption,
  noteMore,
  type PagingOptions,
  readPages,
  registerAction,
  registerLocalAction,
  timeOption,
} from '../../session/index.ts';
import { healthText, issueTable, rejectedTable, releaseTable, releaseText } from '../../text/index.ts';
import { type AddReleaseOptions, addRelease } from './add-release.ts';
import { type SignReleaseOptions, signRelease } from './sign-release.ts';

interface ListOptions extends PagingOptions {
  readonly model?: string;
  readonly rejected?: boolean;
}

export function addReleaseCommands(program: Command): void {
  const group = addGroup(program, 'release', 'firmware releases: sign, upload, look at, take back');
  addAdd(group);
  addSign(group);
  addList(group);
  addShow(group);
  addRevoke(group);
  addRescan(group);
}

function addAdd(group: Command): void {
  const command = addCommand(group, 'add', 'upload an image, wait until it is verified, and print the result', [
    'paku-ota release add build/firmware.bin --model esp32-s3',
    'paku-ota release add firmware.bin --model esp32-s3 --version 2.1.0 --min-version 1.5.0 --changelog "Heater fixed"',
    'paku-ota release add firmware.bin --model esp32-s3 --signature firmware.bin.sig',
  ])
    .argument('<file>', 'application image of a build (.bin)')
    .requiredOption('--model <model>', 'device model of the image')
    .option('--version <version>', 'version that devices will report (default: the version that the image embeds)')
    .option('--signature <file>', 'signature file of the image (release sign), uploaded before it')
    .option('--min-version <version>', 'oldest version that can be updated to it directly')
    .option('--changelog <text>', 'one line for operators')
    .option('--notes <text>', 'release notes')
    .addOption(
      new Option('--allow <verdict...>', 'override a refusal: the project of the images has a new name').choices(
        OVERRIDABLE,
      ),
    )
    .option('--timeout <seconds>', 'how long to wait for the verification', integerOption(1, 3600), 120);
  registerAction<AddReleaseOptions, [string]>(command, addRelease);
}

function addSign(group: Command): void {
  const command = addCommand(group, 'sign', 'write the signature file of an image, without network', [
    'paku-ota release sign firmware.bin --model esp32-s3 --key release-key.pem --expires 2027-06-30',
    'paku-ota release sign firmware.bin --model esp32-s3 --unsigned --output manifest',
  ])
    .argument('<file>', 'application image of a build (.bin)')
    .requiredOption('--model <model>', 'device model of the release')
    .option('--version <version>', 'version of the release (default: the version that the image embeds)')
    .option('--min-version <version>', 'oldest version that can be updated to it directly')
    .option('--expires <time>', 'when the signature ends: a day in UTC, or a time (default: never)', timeOption)
    .addOption(new Option('--key <file>', 'private key in PEM, P-256 or Ed25519').conflicts('unsigned'))
    .option('--unsigned', 'write only the manifest, to sign it elsewhere')
    .option('--output <file>', 'where to write it (default: the image with .sig)');
  registerLocalAction<SignReleaseOptions, [string]>(command, signRelease);
}

function addList(group: Command): void {
  const command = addCommand(group, 'list', 'releases, or uploads that were rejected, the newest first', [
    'paku-ota release list --model esp32-s3',
    'paku-ota release list --rejected',
  ])
    .option('--model <model>', 'of this device model')
    .option('--rejected', 'rejected uploads with their reasons');
  registerAction<ListOptions, []>(addPaging(command), async (session, options) => {
    const { api } = session;
    const { model, rejected } = options;
    if (rejected) {
      const page = await readPages(options, (query) => api.rejectedUploads(query));
      session.show(page, ({ items }) => rejectedTable(items, new Date()));
      return noteMore(session, page);
    }
    const page = await readPages(options, (query) => api.releases({ ...query, model }));
    session.show(page, ({ items }) => releaseTable(items, new Date()));
    noteMore(session, page);
  });
}

function addShow(group: Command): void {
  const command = addCommand(group, 'show', 'one release: its image, its known issues, and its health in the fleet', [
    'paku-ota release show esp32-s3 2.1.0',
  ])
    .argument('<model>')
    .argument('<version>');
  registerAction<object, [string, string]>(command, async (session, _, model, version) => {
    const release = await session.api.release(model, version);
    const health = await session.api.releaseHealth(model, version);
    const { items: known_issues } = await session.api.issues({ model, version });
    session.show({ ...release, health, known_issues }, (shown) => [
      ...releaseText(shown, new Date()),
      ...(shown.known_issues.length === 0 ? [] : ['', 'Known issues:', ...issueTable(shown.known_issues)]),
      '',
      ...healthText(shown.health),
    ]);
  });
}

interface RevokeOptions {
  readonly reason: string;
  readonly yes?: boolean;
}

function addRevoke(group: Command): void {
  const command = addCommand(group, 'revoke', 'revoke a release: no more devices receive it, and its rollouts halt', [
    'paku-ota release revoke esp32-s3 2.1.0 --reason "bricks vans with the old heater"',
  ])
    .argument('<model>')
    .argument('<version>')
    .requiredOption('--reason <text>', 'kept in the history')
    .option('--yes', 'do not ask');
  registerAction<RevokeOptions, [string, string]>(command, async (session, { reason, yes = false }, model, version) => {
    const found = await session.api.release(model, version);
    const { items } = await session.api.rollouts({ model, version, limit: 100 });
    if (!session.json) for (const line of describeRevocation(found, items)) session.note(line);
    await confirmOrStop(`Revoke ${model} ${version} on ${session.target.name}? This cannot be undone.`, yes);
    session.show(await session.api.revokeRelease(model, version, reason), (release) =>
      releaseText(release, new Date()),
    );
  });
}

function addRescan(group: Command): void {
  const command = addCommand(group, 'rescan', 'verify an upload again, after the settings of its model changed', [
    'paku-ota release rescan firmware/2.1.0/esp32-s3.bin',
  ]).argument('<key>', 'object key as shown by release list --rejected');
  registerAction<object, [string]>(command, async (session, _, key) => {
    session.show(await session.api.rescanUpload(key), ({ object_key }) => [
      `${object_key} is being verified again. See it with: paku-ota release list [--rejected]`,
    ]);
  });
}
