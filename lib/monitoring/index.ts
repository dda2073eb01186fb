export { Alarms } from './alarms.ts';
export { constructName } from './construct-name.ts';
export { OperationsDashboard } from './operations-dashboard.ts';
export { metricNamespaceOf, ownMetric } from './own-metric.ts';
export { RUNBOOK_SECTIONS, type RunbookSection } from './runbook-sections.ts';
