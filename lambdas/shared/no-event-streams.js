// Replaces `@smithy/core/event-streams` in the bundles (lib/shared/ota-function.ts): 23 KB for operations whose body is a
// stream of events, such as SelectObjectContent of S3. No function calls one.
export function eventStreamSerdeProvider() {
  throw new Error('event streams are left out of the bundles; see lambdas/shared/no-event-streams.js');
}
export const EventStreamSerde = undefined;
export const resolveEventStreamSerdeConfig = (config) => config;
