/**
 * The wait of a device by the jitter of a rollout: the first 24 bits of a hash of the device, as a share of it. It is the
 * same at every assignment and at every return of the device.
 * @param device SQL that names the id of the device
 * @param rollout SQL that names the id of the rollout, a bigint
 * @param minutes SQL of its `jitter_minutes`
 */
export const jitterWait = (device: string, rollout: string, minutes: string): string =>
  `('x' || substr(md5(${device} || ${rollout}), 1, 6))::bit(24)::integer / 16777216.0 * make_interval(mins => ${minutes})`;
