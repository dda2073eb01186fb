/** What is pinned of the identity of a device, and what it reports now where that differs. */
export interface ReportedIdentity {
  readonly device_model: string;
  readonly mac_address: string | null;
  readonly reported_model: string | null;
  readonly reported_mac: string | null;
}

/** The change as a phrase about the device. */
export function describeChange({ device_model, mac_address, reported_model, reported_mac }: ReportedIdentity): string {
  const parts = [
    ...(reported_model === null ? [] : [`model ${reported_model} instead of ${device_model}`]),
    ...(reported_mac === null ? [] : [`MAC address ${reported_mac} instead of ${mac_address}`]),
  ];
  return `reports ${parts.join(' and ')}`;
}
