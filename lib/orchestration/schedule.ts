import { Duration, Stack } from 'aws-cdk-lib';
import { type IRole, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { Schedule, ScheduleExpression } from 'aws-cdk-lib/aws-scheduler';
import { LambdaInvoke } from 'aws-cdk-lib/aws-scheduler-targets';
import type { Construct } from 'constructs';

/**
 * Invokes a function every so many minutes. An invocation that is late or fails is dropped: the next one does its work.
 */
export function scheduleFunction(scope: Construct, fn: LambdaFunction, minutes: number): void {
  const noRetry = { retryAttempts: 0, maxEventAge: Duration.seconds(60) };
  fn.configureAsyncInvoke(noRetry);
  new Schedule(scope, 'Schedule', {
    schedule: ScheduleExpression.rate(Duration.minutes(minutes)),
    target: new LambdaInvoke(fn, { ...noRetry, role: schedulerRole(scope, fn) }),
  });
}

/** May invoke this function and nothing else; the CDK's grant would also let it invoke every version of the function. */
function schedulerRole(scope: Construct, fn: LambdaFunction): IRole {
  const stack = Stack.of(scope);
  const group = { service: 'scheduler', resource: 'schedule-group', resourceName: 'default' };
  const role = new Role(scope, 'SchedulerRole', {
    assumedBy: new ServicePrincipal('scheduler.amazonaws.com', {
      conditions: { StringEquals: { 'aws:SourceAccount': stack.account, 'aws:SourceArn': stack.formatArn(group) } },
    }),
  });
  role.addToPolicy(new PolicyStatement({ actions: ['lambda:InvokeFunction'], resources: [fn.functionArn] }));
  return role.withoutPolicyUpdates();
}
