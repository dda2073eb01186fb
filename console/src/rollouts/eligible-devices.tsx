import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { Rollout } from '../../../api/rollouts.ts';
import { api } from '../data/client.ts';
import { Loaded } from '../ui/loaded.tsx';
import { PreviewResult } from './preview.tsx';

/** Where the members of a rollout stand now, whom it leaves out among them, and why. */
export function Members({ rollout }: { readonly rollout: Rollout }) {
  // It counts all of them: not every few seconds.
  const preview = useQuery({
    queryKey: ['preview-of', rollout.rollout_id],
    queryFn: () => api.previewOf(rollout),
    refetchInterval: false,
    staleTime: 0,
  });
  return (
    <Loaded of={preview} lines={3}>
      {(data) => (
        <PreviewResult preview={data} percentage={rollout.rollout_percentage} nobody="Nobody: no device matches." />
      )}
    </Loaded>
  );
}

/** The same, once somebody asks for it. */
export function MembersOnDemand({ rollout }: { readonly rollout: Rollout }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <details className="panel members" onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>Whom would it update now, whom not, and why?</summary>
      {isOpen && <Members rollout={rollout} />}
    </details>
  );
}
