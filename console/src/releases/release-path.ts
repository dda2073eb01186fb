/** The address of a release's page. */
export const releasePath = (release: { readonly device_model: string; readonly version: string }) =>
  `/releases/${encodeURIComponent(release.device_model)}/${encodeURIComponent(release.version)}`;
