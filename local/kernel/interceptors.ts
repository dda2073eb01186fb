import type { AwsService } from './aws-service.ts';

/** Hooks between the parts of the local system. Tests use them to make parts fail; no option of `npm start` sets one. */
export interface Interceptors {
  /**
   * Wraps an AWS service that functions and operators call.
   * @param name in the credential scope: `rds-data`, `s3`, `sqs`, `iotdata`, …
   * @param kill ends the environments of the function with that logical id
   */
  wrapService?(name: string, service: AwsService, kill: (functionName: string) => Promise<void>): AwsService;
  /** @returns for each copy of a message that a queue stores, the delay in ms until it can be received. Without it: `[0]` */
  onSend?(queue: string, body: string, sentAt: Date): readonly number[];
  /** @returns true to fail the action of a topic rule for this message, so that the rule's error action gets it */
  failsAction?(topic: string): boolean;
}
