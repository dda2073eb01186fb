import { lazy, Suspense } from 'react';
import type { AreaChartProps } from './area-chart.tsx';

const AreaChart = lazy(() => import('./area-chart.tsx'));

/** A chart whose code is loaded on demand; until then an empty box of the same height. */
export function Chart(props: AreaChartProps) {
  return (
    <Suspense fallback={<div className="chart" style={{ height: props.height }} />}>
      <AreaChart {...props} />
    </Suspense>
  );
}
