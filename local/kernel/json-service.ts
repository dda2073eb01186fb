import { z } from 'zod';
import { AwsError, type AwsService, type Identity } from './aws-service.ts';

/** Maps the parsed body of a request to the body of the answer, as a value or as JSON text. */
export type JsonOperation = (input: unknown, identity: Identity) => Promise<object | string>;

/** An operation with these parameters. A request with any other parameter is refused. */
export function operation<T extends z.ZodRawShape>(
  shape: T,
  perform: (input: z.infer<z.ZodObject<T>>, identity: Identity) => Promise<object | string> | object | string,
): JsonOperation {
  const schema = z.strictObject(shape);
  return async (input, identity) => {
    const { data, error } = schema.safeParse(input);
    if (error) throw new AwsError('ValidationException', 400, z.prettifyError(error));
    return perform(data, identity);
  };
}

/**
 * A service with a JSON protocol.
 * @param operations by `X-Amz-Target`, or by path if requests have no such header
 */
export function jsonService(
  operations: Readonly<Record<string, JsonOperation>>,
  { maxBytes = Number.POSITIVE_INFINITY } = {},
): AwsService {
  return {
    async handle({ path, headers, body, identity }) {
      const name = headers['x-amz-target'] ?? path;
      const perform = operations[name];
      if (!perform) {
        const known = Object.keys(operations).join(', ');
        throw new AwsError('UnknownOperationException', 404, `'${name}' is not imitated here; known are ${known}.`);
      }
      const sent = Buffer.concat(await body.toArray());
      if (sent.length > maxBytes) {
        const message = `The request has ${sent.length} bytes; the service takes at most ${maxBytes}.`;
        throw new AwsError('BadRequestException', 400, message);
      }
      const output = await perform(JSON.parse(sent.toString()), identity);
      const answer = typeof output === 'string' ? output : JSON.stringify(output);
      return { status: 200, headers: { 'content-type': 'application/json' }, body: answer };
    },
  };
}
