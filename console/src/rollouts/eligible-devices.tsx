import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { Rollout } from '../../../api/rollouts.ts';
import { api } from '../data/client.ts';
import { Loaded } from '../ui/loaded.tsx';
import { PreviewResult } from './preview.tsx';

interface EligibleDevicesProps {
  readonly rollout: Rollout;
  /** Code of a warning that is not shown. */
  readonly without?: string;
}

/** How many devices the rollout would update now, how many it would not, and why. */
export function EligibleDevices({ rollout, without }: EligibleDevicesProps) {
  // The preview counts every targeted device, so it is not repeated every few seconds.
  const preview = useQuery({
    queryKey: ['preview-of', rollout.rollout_id],
    queryFn: () => api.previewOf(rollout),
    refetchInterval: false,
    staleTime: 0,
  });
  return (
    <Loaded of={preview} lines={3}>
      {({ warnings, ...data }) => (
        <PreviewResult
          preview={{ ...data, warnings: warnings.filter(({ code }) => code !== without) }}
          percentage={rollout.rollout_percentage}
          noneText="No device matches."
        />
      )}
    </Loaded>
  );
}

/** The same, loaded when the panel is opened. */
export function EligibleDevicesOnDemand({ rollout }: { readonly rollout: Rollout }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <details className="panel" onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>Eligible devices</summary>
      {isOpen && <EligibleDevices rollout={rollout} />}
    </details>
  );
}
