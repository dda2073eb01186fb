import fc from 'fast-check';
import { checkFilter, hostileFilter } from './filters.ts';
import { checkFile, hostileFile } from './images.ts';
import { checkCut, checkOta, checkStatus, cutObject, queueBody } from './messages.ts';

type Property = fc.IAsyncProperty<[unknown]>;

/** A decoder takes a few milliseconds; one that takes this long hangs. */
const TIMEOUT_MS = 5_000;

function property<T>(input: fc.Arbitrary<T>, check: (value: T) => void | Promise<void>): Property {
  const timed = async (value: T) => {
    const since = performance.now();
    await check(value);
    const took = performance.now() - since;
    if (took > TIMEOUT_MS) throw new Error(`took ${Math.round(took)} ms`);
  };
  return fc.asyncProperty(input, timed) as unknown as Property;
}

/** Readers of untrusted bytes that need no database. */
export const TARGETS: Readonly<Record<string, Property>> = {
  images: property(hostileFile, checkFile),
  statuses: property(queueBody, checkStatus),
  'ota-messages': property(queueBody, checkOta),
  'cut-messages': property(cutObject, checkCut),
  filters: property(hostileFilter, checkFilter),
};
