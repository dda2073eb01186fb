import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { DeviceChange, Reach } from '../../../api/reach.ts';
import { api } from '../data/client.ts';
import { useDebounced } from '../ui/debounced.ts';
import { STAYS_OPEN } from '../ui/dialog.tsx';
import { Loaded } from '../ui/loaded.tsx';
import { ReachList } from '../ui/reach-list.tsx';

/** Which rollouts a change of devices makes send, before it is made. */
export function ChangeReach({ change }: { readonly change: DeviceChange }) {
  const asked = useDebounced(JSON.stringify(change));
  const reach = useQuery({
    queryKey: ['preview-change', asked],
    queryFn: () => api.previewChange(JSON.parse(asked) as DeviceChange),
    refetchInterval: false,
    staleTime: 0,
  });
  return (
    <Loaded of={reach} lines={1}>
      {({ reached_by: reached }) => <ReachList of={reached} />}
    </Loaded>
  );
}

/**
 * Saves a change at once if no rollout sends anything because of it. Otherwise the first attempt shows what is sent, and
 * the next one saves.
 */
export function useAskedSave(change: DeviceChange, save: () => Promise<unknown>) {
  const [asked, setAsked] = useState<{ readonly change: string; readonly reached: readonly Reach[] }>();
  const present = JSON.stringify(change);
  const isAsked = asked?.change === present;
  const act = async () => {
    const { reached_by: reached } = await api.previewChange(change);
    if (reached.length === 0 || isAsked) return save();
    setAsked({ change: present, reached });
    return STAYS_OPEN;
  };
  return { act, button: isAsked ? 'Save and send' : 'Save', question: isAsked && <ReachList of={asked.reached} /> };
}
