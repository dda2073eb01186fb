import { keepPreviousData, useQuery } from '@tanstack/react-query';
import type { DeviceChange } from '../../../api/reach.ts';
import { api } from '../data/client.ts';
import { useDebounced } from '../ui/debounced.ts';
import { Loaded } from '../ui/loaded.tsx';
import { ReachList } from './reach-list.tsx';

/**
 * Which rollouts a change of devices makes send, before it is made.
 * @returns what to show, and whether it is of this very change: the change waits until then
 */
export function useChangeReach(change: DeviceChange) {
  const asking = JSON.stringify(change);
  const asked = useDebounced(asking);
  const reach = useQuery({
    queryKey: ['preview-change', asked],
    queryFn: () => api.previewChange(JSON.parse(asked) as DeviceChange),
    refetchInterval: false,
    staleTime: 0,
    placeholderData: keepPreviousData,
  });
  const shown = (
    <Loaded of={reach} lines={1}>
      {({ reached_by: reached }) => <ReachList of={reached} />}
    </Loaded>
  );
  // The service refuses an invalid change by itself, and says which field.
  const isKnown = asking === asked && (reach.isError || (reach.isSuccess && !reach.isPlaceholderData));
  return { shown, isKnown };
}
