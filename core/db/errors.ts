/** Base class of this service's errors. `code` is stable and for programs; the message is for people. */
export class OtaError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/**
 * PostgreSQL refused a statement. The Data API puts the SQLSTATE only into the message text. The SDK's error is not
 * kept as the cause: the message contains everything useful, and the error would put the whole HTTP exchange into the
 * logs.
 */
export class SqlError extends OtaError {
  readonly sqlState: string;

  constructor(sqlState: string, message: string, options?: ErrorOptions) {
    super('sql', message, options);
    this.sqlState = sqlState;
  }

  /** True for class 22 (data exception) and class 23 (constraint violation): a row is at fault, not the database. */
  get isDataProblem(): boolean {
    return this.sqlState.startsWith('22') || this.sqlState.startsWith('23');
  }

  static from(error: unknown, sql: string): SqlError | undefined {
    if (!(error instanceof Error)) return undefined;
    const sqlState = /SQLState: ([0-9A-Z]{5})/.exec(error.message)?.[1];
    if (sqlState === undefined) return undefined;
    return new SqlError(sqlState, `${error.message} (in: ${firstLine(sql)})`);
  }
}

/** A statement ran longer than the Data API allows, and was canceled. */
export class StatementTimeoutError extends OtaError {
  constructor(sql: string) {
    super('statement-timeout', `A statement ran longer than 45 seconds and was canceled (in: ${firstLine(sql)}).`);
  }
}

/** A statement returned a column that its reader does not expect, or not as it expects it. */
export class RowError extends OtaError {
  constructor(message: string) {
    super('row', message);
  }
}

/** The start of a statement, to name it in an error. */
export const firstLine = (sql: string): string => (sql.trim().split('\n', 1)[0] ?? '').slice(0, 80);

/** The paused cluster did not resume in time. The message stays in its queue and is processed again. */
export class DatabaseUnavailableError extends OtaError {
  constructor(waitedMs: number, cause: unknown) {
    super(
      'database-unavailable',
      `The database did not resume within ${waitedMs / 1000} s; the work will be retried.`,
      {
        cause,
      },
    );
  }
}
