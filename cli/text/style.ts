import pc from 'picocolors';

/** True on a terminal with colours. NO_COLOR turns colours off, FORCE_COLOR turns them on elsewhere. */
export function wantsColor(env: NodeJS.ProcessEnv, isTTY: boolean): boolean {
  if (env.NO_COLOR) return false;
  if (env.FORCE_COLOR) return env.FORCE_COLOR !== '0';
  return isTTY && env.TERM !== 'dumb';
}

export const { bold, dim, green, red, yellow, cyan } = pc.createColors(
  wantsColor(process.env, process.stdout.isTTY === true),
);
