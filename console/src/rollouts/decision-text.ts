import { caller, capital, words } from '../text/format.ts';

/** Without the account of whoever it is. */
const byWhom = (by: string | null) => (by === null ? '' : `by ${caller(by)}`);

/** How the service names itself where it decides. */
const ITSELF = 'orchestrator';

interface DecisionWords {
  readonly what: string;
  readonly who: string;
}

/** An event of a rollout and who decided it: `Paused`, `by ada`. */
export function decisionWords(event: string, by: string | null): DecisionWords {
  const what = capital(words(event.replace('rollout_', '')));
  if (by !== ITSELF) return { what, who: byWhom(by) };
  return { what, who: event === 'rollout_halted' ? 'by itself' : '' };
}
