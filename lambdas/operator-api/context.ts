import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Sql } from '../../core/db/index.ts';
import type { CommandFamily, Models } from '../../core/policy/index.ts';

/** What the routes work with; each test or deployment gives its own. */
export interface Services {
  readonly sql: Sql;
  now(): Date;
  readonly settings: {
    readonly topicPrefix: string;
    readonly commandFamily: CommandFamily;
    readonly linkBaseUrl: string;
    readonly models: Models;
  };
  readonly uploads: {
    /** A presigned PUT, with the headers that it signs. */
    presign(
      key: string,
      metadata: Readonly<Record<string, string>>,
    ): Promise<{ url: string; headers: Record<string, string> }>;
    /** Has an object verified once more. @returns false where there is no such object */
    rescan(key: string, now: Date): Promise<boolean>;
  };
  readonly certificates: {
    /** Whether AWS IoT knows the device as a thing of this deployment. */
    isOurs(deviceId: string): Promise<boolean>;
    /**
     * Revokes every certificate of a device, which AWS never takes back, and ends its connection. May be repeated.
     * @returns ids of the certificates
     * @throws Error where one of them could not be revoked; the others are, and the connection has ended
     */
    revoke(deviceId: string): Promise<string[]>;
  };
  readonly deadLetters: {
    list(): Promise<{ queue: string; messages: number }[]>;
    /** @returns undefined where there is no such queue */
    redrive(queue: string): Promise<{ queue: string; messages: number } | undefined>;
  };
  /** Since when the system rests; undefined while it is awake. */
  restingSince(): Promise<string | undefined>;
  /** Has the orchestrator look at its next tick. */
  wake(): Promise<void>;
  /** Puts updates on the dispatch queue. */
  dispatch(updateIds: readonly number[]): Promise<void>;
}

/** Who calls: the ARN of the IAM identity that signed. */
export interface Caller {
  readonly Bindings: {
    readonly event: {
      readonly requestContext: { readonly authorizer: { readonly iam: { readonly userArn: string } } };
    };
  };
  readonly Variables: { caller: string };
}

/** The application that the routes are added to. */
export type App = OpenAPIHono<Caller>;

/** Values as JSON has them: a Date is its ISO text. */
export type Json<T> = T extends Date ? string : T extends object ? { [K in keyof T]: Json<T[K]> } : T;
export const json = <T>(value: T): Json<T> => JSON.parse(JSON.stringify(value)) as Json<T>;
