import { test } from 'vitest';
import { synthesize } from '../../support/lib/templates.ts';

test('the orchestrator is invoked every minute, and a late invocation is dropped', () => {
  const { serviceTemplate } = synthesize();
  serviceTemplate.hasResourceProperties('AWS::Scheduler::Schedule', {
    ScheduleExpression: 'rate(1 minute)',
    Target: { RetryPolicy: { MaximumRetryAttempts: 0, MaximumEventAgeInSeconds: 60 } },
  });
});
