import * as z from 'zod';
import { type Models, modelsSchema, type Signing, signingSchema } from '../../core/release-policy/index.ts';
import { ENV } from '../../core/util/index.ts';

/** @throws Error naming the variable if it is not set */
export function requireEnv(name: (typeof ENV)[keyof typeof ENV]): string {
  const value = process.env[name];
  if (value === undefined || value === '') {
    throw new Error(`Environment variable ${name} is not set; this function was deployed from a different template.`);
  }
  return value;
}

export const readModels = (): Models => modelsSchema.parse(JSON.parse(requireEnv(ENV.models)));

export const readDefaultModel = (): string | null =>
  z
    .string()
    .nullable()
    .parse(JSON.parse(requireEnv(ENV.defaultModel)));

export const readSigning = (): Signing => signingSchema.parse(JSON.parse(requireEnv(ENV.signing)));
