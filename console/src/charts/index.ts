export type { Series } from './area-chart.tsx';
export { Chart } from './chart.tsx';
