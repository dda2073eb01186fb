import type { PreviewDraft } from './rollouts.ts';

/** Higher than the priority of any other rollout, because an operator asked for this device. */
const ONE_DEVICE_PRIORITY = 1000;

interface OneDevice {
  readonly device_id: string;
  readonly device_model: string;
}

/** The rollout that sends one release to one device, which a preview says the outcome of. */
export const draftForDevice = (
  { device_id: id, device_model }: OneDevice,
  firmware_version: string,
  allow_downgrade: boolean,
): PreviewDraft => ({
  firmware_version,
  device_model,
  target_type: 'specific',
  target_filter: { device_ids: [id] },
  stages: [],
  priority: ONE_DEVICE_PRIORITY,
  allow_downgrade,
  include_unknown: true,
});
