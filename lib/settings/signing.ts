import { type Models, type Signing, signingOf } from '../../core/release-policy/index.ts';

/** AWS gives the environment of a function 4 KiB in all; the rest of it is ARNs and URLs. */
const MODELS_AND_KEYS_BYTES = 2_048;

type SigningSettings = Signing & { readonly models: Models };

/** JSON that the functions read: what may sign firmware of a model that has no signing settings of its own. */
export const signingSettings = (settings: Signing): string => JSON.stringify(signingOf(settings, {}));

/** True if any model trusts a key that could have made a detached signature beside an upload. */
export const trustsDetachedSignatures = (settings: SigningSettings): boolean =>
  [{}, ...Object.values(settings.models)].some((model) => signingOf(settings, model).trustedPublicKeys.length > 0);

/** What is wrong with the signing settings: the path of each wrong setting, and a sentence. */
export function signingProblems(settings: SigningSettings): [path: string[], message: string][] {
  return [...untrustingModels(settings), ...oversize(settings)];
}

function untrustingModels(settings: SigningSettings): [path: string[], message: string][] {
  const named = Object.entries(settings.models).map(([name, model]) => [['models', name], model] as const);
  return [[[], {}] as const, ...named]
    .filter(([, model]) => {
      const { requireSignedFirmware, trustedKeyDigests, trustedPublicKeys } = signingOf(settings, model);
      return requireSignedFirmware && trustedKeyDigests.length + trustedPublicKeys.length === 0;
    })
    .map(([path]) => [
      [...path, 'requireSignedFirmware'],
      'no key is trusted, so that no firmware could be registered: set trustedKeyDigests or trustedPublicKeys',
    ]);
}

function oversize(settings: SigningSettings): [path: string[], message: string][] {
  const bytes = Buffer.byteLength(JSON.stringify(settings.models) + signingSettings(settings));
  if (bytes <= MODELS_AND_KEYS_BYTES) return [];
  const message = `with the trusted keys they are ${bytes} bytes as JSON, the environment of a function has room for ${MODELS_AND_KEYS_BYTES}: trust fewer keys, for the whole deployment rather than model by model`;
  return [[['models'], message]];
}
