import { EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge';
import type { Sql } from '../../core/db/index.ts';
import { detailType, HALTED } from '../../core/policy/index.ts';
import { loadHaltNotice, loadUnpublishedEvents, markPublished, type RolloutEvent } from '../../core/rollouts/index.ts';
import { ENV } from '../../core/util/index.ts';
import { requireEnv } from '../shared/environment.ts';

const client = new EventBridgeClient({});
const bus = requireEnv(ENV.eventBus);
const source = requireEnv(ENV.eventSource);

/** PutEvents accepts ten entries per call. */
const EVENTS_PER_CALL = 10;
const CALLS_PER_TICK = 20;

/**
 * Publishes changes of rollouts on the event bus, each at least once. Changes that the bus does not accept are
 * published by the next tick.
 * @returns the published changes
 */
export async function publishRolloutEvents(sql: Sql, now: Date): Promise<RolloutEvent[]> {
  const published: RolloutEvent[] = [];
  for (let calls = 0; calls < CALLS_PER_TICK; calls++) {
    const events = await loadUnpublishedEvents(sql, EVENTS_PER_CALL);
    const taken = await put(sql, events);
    await markPublished(
      sql,
      taken.map(({ event_id: id }) => id),
      now,
    );
    published.push(...taken);
    if (taken.length < EVENTS_PER_CALL) break;
  }
  return published;
}

/** @returns the events that the bus accepted */
async function put(sql: Sql, events: readonly RolloutEvent[]): Promise<RolloutEvent[]> {
  if (events.length === 0) return [];
  const entries = await Promise.all(events.map((event) => toEntry(sql, event)));
  const { Entries = [] } = await client.send(new PutEventsCommand({ Entries: entries }));
  return events.filter((_, index) => Entries[index]?.ErrorCode === undefined);
}

/** A halt carries the lines of the message that the alarm topic gets, because a rule can only insert them. */
const toEntry = async (sql: Sql, event: RolloutEvent) => ({
  EventBusName: bus,
  Source: source,
  DetailType: detailType(event.event),
  Time: event.at,
  Detail: JSON.stringify({
    rolloutId: event.rollout_id,
    rollout: event.rollout_name,
    firmwareVersion: event.firmware_version,
    deviceModel: event.device_model,
    reason: event.reason,
    by: event.decided_by,
    at: event.at,
    ...event.detail,
    ...(event.event === HALTED ? { notification: await loadHaltNotice(sql, event) } : {}),
  }),
});
