import type { Command } from 'commander';
import type { DeviceDetail } from '../../../api/devices.ts';
import { addCommand, CliError, confirmOrStop, registerAction } from '../../session/index.ts';
import { deviceText, printable, reachText } from '../../text/index.ts';

interface AcceptOptions {
  readonly reason: string;
  readonly model?: string;
  readonly yes?: boolean;
}

export function addDeviceAccept(group: Command): void {
  const command = addCommand(
    group,
    'accept',
    'accept the model and MAC address that devices report, or state the model',
    [
      'paku-ota device accept ESP32-20E955A0 --reason "the board was replaced"',
      'paku-ota device accept ESP32-20E955A0 ESP32-7D1165C4 --model esp32-s3 --reason "firmware 1.2.3 reports no model"',
    ],
  )
    .argument('<device...>')
    .option(
      '--model <model>',
      'the model of devices that do not report it (default: what each reports, or the assumed one)',
    )
    .requiredOption('--reason <text>', 'kept in the history')
    .option('--yes', 'do not ask');
  registerAction<AcceptOptions, [string[]]>(command, async (session, { reason, model, yes = false }, ids) => {
    const devices = await Promise.all(ids.map((id) => session.api.device(id)));
    const changes = devices.map((device) => changeOf(device, model?.trim().toLowerCase()));
    const { reached_by: reached } = await session.api.previewChange({
      device_ids: ids,
      accept_identity: true,
      ...(model !== undefined && { device_model: model }),
    });
    const question = [
      ...changes.map(({ text }) => `${text}.`),
      ...reachText(printable(reached)),
      `Accept this on ${session.target.name}?`,
    ];
    await confirmOrStop(question.join(' '), yes);
    const items: DeviceDetail[] = [];
    for (const { device_id: id } of devices) items.push(await session.api.acceptIdentity(id, reason, model));
    const [only] = items;
    session.show(items.length === 1 && only !== undefined ? only : { items }, () =>
      items.flatMap((device) => deviceText(device, new Date())),
    );
  });
}

/** What is accepted of a device, as a sentence without its end, and the model that it has afterwards. */
function changeOf(device: DeviceDetail, stated: string | undefined): { readonly text: string; readonly model: string } {
  const { device_id: id, identity_change: change, model_is_assumed: isAssumed, device_model: known } = device;
  const model = stated ?? device.reported_model ?? known;
  if (change !== null) return { text: `${id} ${change}`, model };
  if (isAssumed) return { text: `The model of ${id} was never stated: it becomes ${model}`, model };
  if (model !== known) return { text: `The model of ${id} changes from ${known} to ${model}`, model };
  throw new CliError(`${id} reports what is known of it, or nothing: there is nothing to accept`);
}
