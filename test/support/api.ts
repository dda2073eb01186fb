import { ApiClient, ApiError } from '../../api/client.ts';
import type { RolloutDraft } from '../../api/rollouts.ts';
import type { Sql } from '../../core/db/index.ts';
import type { ConnectionAnswer } from '../../core/protocol/index.ts';
import { signingSchema } from '../../core/release-policy/index.ts';
import { createApp } from '../../lambdas/operator-api/app.ts';
import type { App, Services } from '../../lambdas/operator-api/context.ts';
import { checkAnswer } from './api-answers.ts';

export const CALLER = 'arn:aws:iam::000000000000:user/operator';

/**
 * The operator API in this process behind its client. Each answer is checked against the OpenAPI document, and effects
 * outside the database are recorded.
 */
export class TestApi {
  readonly app: App;
  readonly client: ApiClient;
  readonly dispatched: number[] = [];
  readonly rescanned: string[] = [];
  /** How often idle mode was ended. */
  woken = 0;
  idleSince: string | undefined;
  /** Certificates of the things of the deployment, by device id; the devices may not have reported yet. */
  readonly certificates = new Map<string, string[]>();
  /** Devices whose connection was closed. */
  readonly cutOff: string[] = [];
  /** What AWS IoT answers about every client. */
  connection: ConnectionAnswer = { state: 'not_known' };
  deadLetters = [{ queue: 'status', messages: 0 }];

  constructor(sql: Sql, now: () => Date, settings: Partial<Services['settings']> = {}) {
    this.app = createApp({
      sql,
      now,
      settings: {
        topicPrefix: 'paku',
        commandFamily: 'devices',
        linkBaseUrl: 'https://abcdefghij.execute-api.eu-west-1.amazonaws.com/d/',
        models: {},
        signing: signingSchema.parse({}),
        requireApproval: false,
        devicePolicy: 'publish on paku/edge/{deviceId}/*',
        ...settings,
      },
      uploads: {
        presign: async (key, metadata) => ({ url: `https://bucket.example/${key}?signed`, headers: { ...metadata } }),
        rescan: async (key) => {
          this.rescanned.push(key);
          return !key.includes('missing');
        },
      },
      askConnection: async () => this.connection,
      certificates: {
        isOurs: async (deviceId) => this.certificates.has(deviceId),
        revoke: async (deviceId) => {
          this.cutOff.push(deviceId);
          return this.certificates.get(deviceId) ?? [];
        },
      },
      deadLetters: {
        list: async () => this.deadLetters,
        redrive: async (queue) => this.deadLetters.find((each) => each.queue === queue),
      },
      recordingPause: async () =>
        this.idleSince === undefined
          ? null
          : { from: new Date(this.idleSince), to: new Date(Date.parse(this.idleSince) + 3_600_000) },
      wake: async () => {
        this.woken++;
      },
      dispatch: async (ids) => {
        this.dispatched.push(...ids);
      },
    });
    this.client = this.as(CALLER);
  }

  /** The client of another IAM identity. */
  as(userArn: string): ApiClient {
    const event = { requestContext: { authorizer: { iam: { userArn } } } };
    return new ApiClient('http://api', async (url, init) => {
      const answer = await this.app.request(url, init, { event });
      checkAnswer(init?.method ?? 'GET', new URL(url).pathname, answer.status, await answer.clone().json());
      return answer;
    });
  }
}

/** A rollout to all devices in one stage. */
export const DRAFT: RolloutDraft = { name: 'r', firmware_version: '2.0.0', device_model: 'esp32-s3', stages: [] };

/** The problem document of a refused call. */
export async function refusal(call: Promise<unknown>) {
  const error = await call.then(
    () => undefined,
    (refused: unknown) => refused,
  );
  if (error instanceof ApiError) return error.problem;
  throw new Error(`expected a refusal, got ${error}`);
}
