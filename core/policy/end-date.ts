/** Updates of a rollout that count. */
interface Counts {
  readonly devices: number;
  readonly succeeded: number;
  readonly failed: number;
}

/** Why a rollout is aborted at its end date, with what it has reached: an end can be all that was left to do. */
export function describeEnd(endAt: Date, { devices, succeeded, failed }: Counts): string {
  const cause = `its end date, ${endAt.toISOString()}, has come`;
  if (devices === 0) return `${cause}: no device was assigned`;
  const updated =
    succeeded === 0
      ? 'no device was updated'
      : `${succeeded} ${succeeded === 1 ? 'device was' : 'devices were'} updated`;
  const rest = devices - succeeded - failed;
  const parts = [
    updated,
    ...(failed === 0 ? [] : [`${failed} failed`]),
    ...(rest === 0
      ? []
      : [`and ${rest} of the ${devices} assigned ${rest === 1 ? 'was' : 'were'} still to be updated`]),
  ];
  return `${cause}: ${parts.join(', ')}`;
}
