import { OpenAPIHono } from '@hono/zod-openapi';
import { HTTPException } from 'hono/http-exception';
import { fieldErrors } from '../../core/util/index.ts';
import type { App, Caller, Services } from './context.ts';
import { addDeviceRoutes } from './device-routes.ts';
import { addHoldRoutes } from './hold-routes.ts';
import { addIssueRoutes } from './issue-routes.ts';
import { problemOf, toProblem } from './problems.ts';
import { addRecoveryRoutes } from './recovery-routes.ts';
import { addReleaseRoutes } from './release-routes.ts';
import { addRolloutRoutes } from './rollout-routes.ts';
import { addServiceRoutes } from './service-routes.ts';

/** The general part of the API's document. */
export const OPENAPI = {
  openapi: '3.1.0',
  info: {
    title: 'paku-ota operator API',
    version: '1',
    description:
      'Devices, firmware releases and rollouts. Every call is signed with AWS Signature Version 4 for `execute-api`; IAM decides who may call. Names are those of the database.',
    license: { name: 'MIT', identifier: 'MIT' },
  },
  servers: [{ url: '/' }],
  security: [{ sigv4: [] }],
};

/** Creates the operator API over its services. */
export function createApp(services: Services): App {
  const app: App = new OpenAPIHono<Caller>({
    defaultHook(result, context) {
      if (result.success) return undefined;
      const errors = fieldErrors(result.error).map(({ field, message }) => ({ field: field || '(body)', message }));
      const detail = errors.map(({ field, message }) => `${field}: ${message}`).join('; ');
      return context.json(problemOf(400, detail, errors), 400, PROBLEM_JSON);
    },
  });
  app.onError((error, context) => {
    const problem = error instanceof HTTPException ? problemOf(400, describeBody(error)) : toProblem(error);
    return context.json(problem, problem.status as 500, PROBLEM_JSON);
  });
  app.notFound((context) => context.json(problemOf(404, 'No such endpoint.'), 404, PROBLEM_JSON));
  app.use(async (context, next) => {
    context.set('caller', context.env.event.requestContext.authorizer.iam.userArn);
    await next();
    if (context.req.method !== 'GET' && context.res.ok) await services.wake();
    context.header('cache-control', 'no-store');
  });
  addDeviceRoutes(app, services);
  addReleaseRoutes(app, services);
  addRolloutRoutes(app, services);
  addRecoveryRoutes(app, services);
  addHoldRoutes(app, services);
  addIssueRoutes(app, services);
  addServiceRoutes(app, services);
  return app;
}

/** Says why the framework refused a body. */
const describeBody = ({ status, message }: HTTPException) =>
  status === 415 ? 'The body must be JSON: send the header "content-type: application/json".' : `${message}.`;

const PROBLEM_JSON = { 'content-type': 'application/problem+json' };
