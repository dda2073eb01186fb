/** What a firmware does at each connect. In topics, `{prefix}` and `{id}` are those of the device. */
export interface ConnectHabits {
  /** Subscribed one by one, at QoS 0, in this order. */
  readonly subscribes: readonly string[];
  /** Retained after the status: the settings of the device. */
  readonly configTopic: string;
  /** Published after that. */
  readonly sensorTopics: readonly string[];
}

/** A connection that is open for a part of the time; in between the radio is off. */
export interface ConnectionWindow {
  readonly openSeconds: number;
  /** From the beginning of a window to the beginning of the next one. */
  readonly everySeconds: number;
}
