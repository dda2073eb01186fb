import { Readable } from 'node:stream';
import * as rds from '@aws-sdk/client-rds-data';
import { AwsError, type AwsService, type Identity } from '../../local/kernel/index.ts';

const PATHS = {
  ExecuteStatementCommand: '/Execute',
  BeginTransactionCommand: '/BeginTransaction',
  CommitTransactionCommand: '/CommitTransaction',
  RollbackTransactionCommand: '/RollbackTransaction',
} as const;

type Send = Pick<rds.RDSDataClient, 'send'>;

/**
 * A client of the Data API without a socket and a signature, which cost ten times more than most statements. Inputs,
 * outputs and errors are the same as over HTTP: `data-api.sql.test.ts` compares them.
 */
export function directDataApi(service: AwsService, identity: Identity): Send {
  const send = async (command: { readonly input: object; readonly constructor: { readonly name: string } }) => {
    const path = PATHS[command.constructor.name as keyof typeof PATHS];
    const body = Readable.from([Buffer.from(JSON.stringify(command.input))]);
    const from = { identity, sourceIp: '127.0.0.1' };
    const request = { method: 'POST', path, query: new URLSearchParams(), headers: {}, body, ...from };
    const answer = await service.handle(request).catch((error) => {
      throw error instanceof AwsError ? exceptionOf(error) : error;
    });
    return JSON.parse(String(answer.body));
  };
  return { send: send as Send['send'] };
}

/** The exception that the SDK makes of an error answer. */
function exceptionOf({ code, status, message }: AwsError): Error {
  const Exception = (rds as Record<string, unknown>)[code] as (new (of: object) => Error) | undefined;
  const options = { message, $metadata: { httpStatusCode: status } };
  return Exception
    ? new Exception(options)
    : new rds.RDSDataServiceException({ name: code, $fault: 'client', ...options });
}
