import { parseAttribute } from '../../api/attribute-text.ts';
import { parseFactConditions } from '../../api/fact-text.ts';
import { parseTarget } from '../../core/policy/index.ts';
import { invalid } from './problems.ts';

/** @throws RefusedCall for a text that is not an attribute */
export function readAttribute(text: string | undefined) {
  if (text === undefined) return undefined;
  const [name, value] = parseAttribute(text) ?? [];
  if (name !== undefined && value !== null && value !== undefined) return { [name]: value };
  throw invalid('attribute', `"${text}" is not an attribute; expected a form like site=rome`);
}

/** @throws RefusedCall for a text that is not a condition on a fact, or is one of another type */
export function readFact(text: string | undefined) {
  if (text === undefined) return undefined;
  const read = parseFactConditions([text]);
  if ('invalid' in read) {
    throw invalid('fact', `"${text}" is not a condition on a fact; expected name=value, name>=number or name<=number`);
  }
  const parsed = parseTarget('all', read, 100);
  if (!parsed.ok) throw invalid('fact', parsed.reason.replace(/^target_filter: facts\./, ''));
  return parsed.value.facts;
}
