/** This many usual reports of a device that do not come end its presence. The function presumed_offline_at says the same. */
const MISSED_REPORTS = 3;
const SHORTEST_PATIENCE_SECONDS = 120;
const LONGEST_PATIENCE_SECONDS = 48 * 3600;
/** Of a device that has reported once, whose habit is not known. */
const DEFAULT_PATIENCE_SECONDS = 3600;

export const PRESENCE_STATES = ['online', 'presumed_offline', 'said_offline', 'never_heard'] as const;
export type PresenceState = (typeof PRESENCE_STATES)[number];

/** What is stored of the contact with a device. */
export interface Contact {
  /** False if a last will came after the newest status. */
  readonly online: boolean;
  readonly last_seen: Date | null;
  readonly report_interval_seconds: number | null;
  /** Receive time of the newest status or last will. */
  readonly reachability_received_at: Date | null;
  /** Receive time of the newest report about an update: during a download many devices send no status. */
  readonly reported_at: Date | null;
}

/** A time in which statuses that repeat what is stored were not recorded, so that silence says nothing about a device. */
export interface RecordingPause {
  readonly from: Date;
  /** In the future while it lasts. */
  readonly to: Date;
}

export interface Presence {
  readonly state: PresenceState;
  /** Online: its newest message. Presumed offline: when it had been silent for too long. Said offline: its last will. */
  readonly since: Date | null;
  readonly usual_seconds: number | null;
  /** The evidence, such as `last heard 7 min ago, usually every 30 s`. */
  readonly text: string;
}

/**
 * Whether a device is online, by its newest message and its own reporting habit. Many devices have no last will, so
 * that "online" ends by silence: after three usual reports, at least two minutes.
 * @param pause the newest pause of recording; null: none
 */
export function presenceOf(contact: Contact, pause: RecordingPause | null, now: Date): Presence {
  const { report_interval_seconds: usual, reachability_received_at: toldAt } = contact;
  const seen = heardAt(contact);
  const heard = heardText(seen, usual, now);
  const known = { usual_seconds: usual };
  if (!contact.online && toldAt !== null) {
    return { ...known, state: 'said_offline', since: toldAt, text: `its last will came ${ago(toldAt, now)}; ${heard}` };
  }
  if (seen === null) return { ...known, state: 'never_heard', since: null, text: heard };
  const offlineAt = new Date(seen.getTime() + patienceSeconds(usual) * 1000);
  if (offlineAt > heardUntil(seen, pause, now)) {
    const isPaused = pause !== null && pause.to > now && seen < pause.from;
    const text = isPaused ? `${heard}; in idle mode statuses without news are not recorded` : heard;
    return { ...known, state: 'online', since: seen, text };
  }
  return { ...known, state: 'presumed_offline', since: offlineAt, text: heard };
}

/** How long a device may be silent before it is presumed offline. */
export const patienceSeconds = (usual: number | null): number =>
  usual === null
    ? DEFAULT_PATIENCE_SECONDS
    : Math.min(Math.max(MISSED_REPORTS * usual, SHORTEST_PATIENCE_SECONDS), LONGEST_PATIENCE_SECONDS);

/** The present instant, less the pause of recording. */
export function recordedUntil(pause: RecordingPause | null, now: Date): Date {
  if (pause === null || pause.from >= now) return now;
  return new Date(pause.from.getTime() + Math.max(now.getTime() - pause.to.getTime(), 0));
}

const heardUntil = (seen: Date, pause: RecordingPause | null, now: Date) =>
  pause !== null && seen >= pause.to ? now : recordedUntil(pause, now);

/** Null for a device that is known by reports about an update only. */
const heardAt = ({ last_seen: seen, reported_at: reported }: Contact): Date | null =>
  seen !== null && reported !== null && reported > seen ? reported : seen;

function heardText(seen: Date | null, usual: number | null, now: Date): string {
  if (seen === null) return 'no status was received';
  return `last heard ${ago(seen, now)}${usual === null ? ', once so far' : `, usually every ${span(usual)}`}`;
}

export const ago = (at: Date, now: Date) => `${span(Math.max(0, (now.getTime() - at.getTime()) / 1000))} ago`;

/** In the largest unit that gives two or more: `90 s`, `7 min`, `3 h`, `9 days`. */
export function span(seconds: number): string {
  if (seconds < 99.5) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 100 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}
