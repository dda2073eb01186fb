import { capital, words } from '../format.ts';

/** How the service names itself where it decides. */
const ITSELF = 'orchestrator';

/** Without the account of whoever it is. */
const byWhom = (by: string | null) => (by === null ? '' : `by ${by.slice(by.lastIndexOf('/') + 1)}`);

interface DecisionWords {
  readonly what: string;
  readonly who: string;
}

/** An event of a rollout and who decided it: `Paused`, `by ada`. A person pauses a rollout, by itself it halts. */
export function decisionWords(event: string, by: string | null): DecisionWords {
  const isOwn = by === ITSELF;
  if (event !== 'rollout_halted') {
    return { what: capital(words(event.replace('rollout_', ''))), who: isOwn ? '' : byWhom(by) };
  }
  return isOwn ? { what: 'Halted', who: 'by itself' } : { what: 'Paused', who: byWhom(by) };
}
