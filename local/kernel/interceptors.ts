import type { AwsService } from './aws-service.ts';

/** Hooks between the parts of the local system. Tests inject faults through them; `npm start` sets none. */
export interface Interceptors {
  /**
   * Wraps an AWS service that functions and operators call.
   * @param name the name in the credential scope: `rds-data`, `s3`, `sqs`, `iotdata`, …
   * @param kill terminates the environments of the function with that logical id
   */
  wrapService?(name: string, service: AwsService, kill: (functionName: string) => Promise<void>): AwsService;
  /** @returns the delay of each copy of the message in ms; the default is `[0]`, one copy without delay */
  onSend?(queue: string, body: string, sentAt: Date): readonly number[];
  /** @returns true to make the action of a topic rule fail for this message, so that the error action gets it */
  failsAction?(topic: string): boolean;
}
