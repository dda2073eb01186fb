import type { Problem } from '../../api/common.ts';
import { DatabaseUnavailableError, SqlError } from '../../core/db/index.ts';
import type { FieldError } from '../../core/util/index.ts';
import { logger } from '../shared/log.ts';

/** A refused call with its reason; becomes problem details. */
export class RefusedCall extends Error {
  override readonly name = 'RefusedCall';
  readonly status: 400 | 403 | 404 | 409 | 412;
  readonly errors: readonly FieldError[] | undefined;

  constructor(status: RefusedCall['status'], detail: string, errors?: readonly FieldError[]) {
    super(detail);
    this.status = status;
    this.errors = errors;
  }
}

export const notFound = (what: string) => new RefusedCall(404, `There is no ${what}.`);
export const invalid = (field: string, message: string) =>
  new RefusedCall(400, `${field}: ${message}`, [{ field, message }]);

const TITLES: Readonly<Record<number, string>> = {
  400: 'Not valid',
  403: 'Not allowed',
  404: 'Not found',
  409: 'Not possible now',
  412: 'Changed meanwhile',
  500: 'Internal error',
  503: 'Database resuming',
};

export function problemOf(status: number, detail: string, errors?: readonly FieldError[]): Problem {
  const title = TITLES[status] ?? 'Refused';
  const type = `urn:paku-ota:${title.toLowerCase().replaceAll(' ', '-')}`;
  return { type, title, status, detail, ...(errors === undefined ? {} : { errors: [...errors] }) };
}

/** The response to an error. Details that do not concern the caller are only logged. */
export function toProblem(error: unknown): Problem {
  if (error instanceof RefusedCall) return problemOf(error.status, error.message, error.errors);
  if (error instanceof DatabaseUnavailableError) return problemOf(503, 'The database is resuming; try again in 30 s.');
  if (error instanceof SqlError && error.isDataProblem) {
    logger.warn('refused by the database', { sqlState: error.sqlState, reason: error.message });
    return problemOf(400, 'The database refuses a value of this call: it is too large, or not of the expected form.');
  }
  logger.error('operator-api', error as Error);
  return problemOf(500, 'The service failed; its log says why.');
}
