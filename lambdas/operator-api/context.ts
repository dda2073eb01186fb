import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Sql } from '../../core/db/index.ts';
import type { CommandFamily, ConnectionAnswer, RecordingPause } from '../../core/protocol/index.ts';
import type { Models, Signing } from '../../core/release-policy/index.ts';
import type { DeviceId, UpdateId } from '../../core/util/index.ts';

/** The services that the routes use; a deployment and each test provide their own. */
export interface Services {
  readonly sql: Sql;
  now(): Date;
  readonly settings: {
    readonly topicPrefix: string;
    readonly commandFamily: CommandFamily;
    readonly linkBaseUrl: string;
    readonly models: Models;
    readonly signing: Signing;
    /** True if a second person must approve what a rollout sends. */
    readonly requireApproval: boolean;
    /** What the device policy allows, in words, with `{deviceId}` for the device. */
    readonly devicePolicy: string;
  };
  readonly uploads: {
    /** A presigned PUT, with the headers that its signature covers. */
    presign(
      key: string,
      metadata: Readonly<Record<string, string>>,
    ): Promise<{ url: string; headers: Record<string, string> }>;
    /**
     * Verifies an uploaded object again.
     * @returns false if there is no such object
     */
    rescan(key: string, now: Date): Promise<boolean>;
  };
  readonly certificates: {
    /** True if AWS IoT has the device as a thing of this deployment. */
    isOurs(deviceId: DeviceId): Promise<boolean>;
    /**
     * Revokes every certificate of a device permanently and ends its connection. Can be repeated.
     * @returns ids of the certificates
     * @throws Error if one could not be revoked; the others are, and the connection has ended
     */
    revoke(deviceId: DeviceId): Promise<string[]>;
  };
  /** Asks AWS IoT about the connection of a client. Never throws. */
  askConnection(clientId: string): Promise<ConnectionAnswer>;
  readonly deadLetters: {
    list(): Promise<{ queue: string; messages: number }[]>;
    /**
     * Moves the messages of a dead-letter queue back to their source queue.
     * @returns undefined if there is no such queue
     */
    redrive(queue: string): Promise<{ queue: string; messages: number } | undefined>;
  };
  /** The newest time in which repeated statuses were not recorded: the present idle period, or the one before. */
  recordingPause(): Promise<RecordingPause | null>;
  /** Ends idle mode, so that the next tick runs. */
  wake(): Promise<void>;
  /** Puts updates on the dispatch queue. */
  dispatch(updateIds: readonly UpdateId[]): Promise<void>;
}

/** The caller: the ARN of the IAM identity that signed the request. */
export interface Caller {
  readonly Bindings: {
    readonly event: {
      readonly requestContext: { readonly authorizer: { readonly iam: { readonly userArn: string } } };
    };
  };
  readonly Variables: { caller: string };
}

/** The application to which routes are added. */
export type App = OpenAPIHono<Caller>;

/** Values as JSON represents them: a Date becomes ISO text, an id a plain number or text. */
export type Json<T> = T extends Date
  ? string
  : T extends number | string
    ? Plain<T>
    : T extends object
      ? { [K in keyof T]: Json<T[K]> }
      : T;
type Plain<T extends number | string> = 'kindOfId' extends keyof T ? (T extends number ? number : string) : T;
export const json = <T>(value: T): Json<T> => JSON.parse(JSON.stringify(value)) as Json<T>;
