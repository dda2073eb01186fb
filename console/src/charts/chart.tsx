import { lazy, Suspense } from 'react';
import type { AreaChartProps } from './area-chart.tsx';

const AreaChart = lazy(() => import('./area-chart.tsx'));

/** Keeps the place of a chart until its code is there. */
export function Chart(props: AreaChartProps) {
  return (
    <Suspense fallback={<div className="chart" style={{ height: props.height }} />}>
      <AreaChart {...props} />
    </Suspense>
  );
}
