import pc from 'picocolors';

/** Colours only where a person sees them: NO_COLOR, pipes and dumb terminals get plain text. FORCE_COLOR insists. */
export function wantsColor(env: NodeJS.ProcessEnv, isTTY: boolean): boolean {
  if (env.NO_COLOR) return false;
  if (env.FORCE_COLOR) return env.FORCE_COLOR !== '0';
  return isTTY && env.TERM !== 'dumb';
}

export const { bold, dim, green, red, yellow, cyan } = pc.createColors(
  wantsColor(process.env, process.stdout.isTTY === true),
);
