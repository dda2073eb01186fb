import { z } from '@hono/zod-openapi';
import { DEVICE_ID, DEVICE_ID_FORM, PATH_SEGMENT, PATH_SEGMENT_FORM } from '../core/util/index.ts';

/** Problem details (RFC 9457); `errors` names each refused field. */
export const problemSchema = z
  .object({
    type: z.string().describe('A stable identifier of the problem, as a URN: `urn:paku-ota:not-found`.'),
    title: z.string(),
    status: z.number().int(),
    detail: z.string().describe('What happened, with the value, what was expected and what to do.'),
    errors: z.array(z.object({ field: z.string(), message: z.string() })).optional(),
  })
  .openapi('Problem');
export type Problem = z.infer<typeof problemSchema>;

const problem = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: problemSchema } },
});

const OF_ANY_CALL = {
  400: problem('A parameter or a field of the body is not valid; `errors` names it.'),
  403: problem('The caller may not do this (IAM).'),
  500: problem('The service failed; its log says why.'),
  503: problem('The database is resuming; try again shortly.'),
};
const OF_SOME = {
  404: problem('Not found.'),
  409: problem('The state of the resource does not allow the call; `detail` names the state.'),
  412: problem('The resource was changed since it was read: the ETag in `If-Match` is not the current one.'),
};

/** The error responses of a route: those of every route and the given ones. */
export function refusals<Status extends keyof typeof OF_SOME>(...statuses: Status[]) {
  const some = Object.fromEntries(statuses.map((status) => [status, OF_SOME[status]]));
  return { ...OF_ANY_CALL, ...some } as typeof OF_ANY_CALL & Pick<typeof OF_SOME, Status>;
}

export const answer = <T extends z.ZodType>(description: string, schema: T) => ({
  description,
  content: { 'application/json': { schema } },
});

export const jsonBody = <T extends z.ZodType>(schema: T) => ({
  required: true as const,
  content: { 'application/json': { schema } },
});

/** One page of a list: `next_cursor` is for the next call, null at the end. */
export const pageOf = <T extends z.ZodType>(name: string, item: T) =>
  z.object({ items: z.array(item), next_cursor: z.string().nullable() }).openapi(name);

export const pageQuery = {
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z.string().max(500).optional().describe('`next_cursor` of the previous page.'),
};

/** A flag in a query string: `true` or `false`. */
export const flag = z.enum(['true', 'false']).transform((text) => text === 'true');

export const timestamp = z.iso.datetime().openapi({ example: '2026-03-02T12:00:00.000Z' });

export const deviceId = z.string().regex(DEVICE_ID, `expected ${DEVICE_ID_FORM}`);
export const name = z.string().trim().min(1).max(64);
/** A name in a path; it has one spelling, because IAM policies name paths. */
export const pathName = z.string().regex(PATH_SEGMENT, `expected ${PATH_SEGMENT_FORM}`);
/** Without control characters and overrides of the writing direction, which could disguise a name. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the expression refuses them.
const LABEL = /^[^\u0000-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]+$/;
/** Text that people read in one line. */
export const label = (max: number) =>
  z.string().trim().min(1).max(max).regex(LABEL, 'a name must not contain control characters');

/** A model in any spelling of its letters; models are compared in lower case. */
export const model = name.toLowerCase();

/** Why the change is made; recorded in the history together with the caller. */
export const reasonBody = z.object({ reason: z.string().trim().min(1).max(500) });

/** Attributes to set by their names; null removes one. */
export const attributeChanges = z.record(
  z.string().min(1).max(64),
  z.union([z.string().max(256), z.number(), z.boolean(), z.null()]),
);
