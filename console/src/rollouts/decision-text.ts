import type { RolloutEventName } from '../../../api/rollouts.ts';
import { caller, capital, words } from '../text/format.ts';

/** `by ada`, without the AWS account. */
const byWhom = (by: string | null) => (by === null ? '' : `by ${caller(by)}`);

/** The name under which the service records its own decisions. */
const ORCHESTRATOR = 'orchestrator';

interface DecisionText {
  readonly what: string;
  readonly who: string;
}

/** An event of a rollout and who decided it: `Paused`, `by ada`. */
export function decisionText(event: string, by: string | null): DecisionText {
  const what = capital(words(event.replace('rollout_', '')));
  if (by !== ORCHESTRATOR) return { what, who: byWhom(by) };
  const halted: RolloutEventName = 'rollout_halted';
  return { what, who: event === halted ? 'automatically' : '' };
}
