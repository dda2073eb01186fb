/**
 * The form in which models are stored and compared. Firmware and uploads spell the same model differently: `ESP32-S3`
 * comes from `ESP.getChipModel()`, `esp32-s3` from the path of an upload.
 */
export const normalizeModel = (model: string): string => model.trim().toLowerCase();

/** The name without case and separators. */
const squash = (name: string) => name.toLowerCase().replace(/[^a-z0-9]/g, '');

/** The known name that differs only by case or separators; undefined if there is none. */
export const similarName = (name: string, known: readonly string[]): string | undefined =>
  known.find((each) => each !== name && squash(each) === squash(name));

/** How many models a message lists. */
const LISTED = 5;

/** A warning for the first release of a model that no device has; undefined if there are no devices to compare with. */
export function unknownModelWarning(
  model: string,
  models: readonly string[],
): { readonly code: 'UNKNOWN_MODEL'; readonly message: string } | undefined {
  if (models.length === 0 || models.includes(model)) return undefined;
  const similar = similarName(model, models);
  const more = models.length > LISTED ? ` and ${models.length - LISTED} more` : '';
  const hint =
    similar === undefined ? `devices report: ${models.slice(0, LISTED).join(', ')}${more}` : `did you mean ${similar}?`;
  return { code: 'UNKNOWN_MODEL', message: `no device reports the model ${model}; ${hint}` };
}
