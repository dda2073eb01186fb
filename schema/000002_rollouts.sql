-- Rollouts that look after themselves: stages and gates, attempts and retries, pace, history. Every new column has a
-- default that is careful by itself, so that a plain INSERT stays a complete rollout.

ALTER TABLE rollout_configurations
  -- [{"percentage": 5 | "count": 10, "soak_minutes": 60, "min_success_rate": 0.95, "min_reports": 20}, …], the rest of the
  -- members after the last; null starts slowly by itself; [] means everyone at once.
  ADD COLUMN stages            jsonb,
  ADD COLUMN failure_threshold double precision NOT NULL DEFAULT 0.10,
  ADD COLUMN failure_count     integer,
  ADD COLUMN min_reports       integer NOT NULL DEFAULT 5,
  ADD COLUMN max_attempts      integer NOT NULL DEFAULT 3,
  ADD COLUMN start_at          timestamptz,
  ADD COLUMN send_window       jsonb,
  ADD COLUMN jitter_minutes    integer NOT NULL DEFAULT 0,
  ADD COLUMN priority            integer NOT NULL DEFAULT 0,
  ADD COLUMN keep_open         boolean NOT NULL DEFAULT false,
  ADD COLUMN aborted_at        timestamptz,
  ADD CONSTRAINT rollout_configurations_gate_check CHECK (failure_threshold BETWEEN 0 AND 1 AND failure_count > 0
    AND min_reports > 0 AND max_attempts BETWEEN 1 AND 20 AND jitter_minutes BETWEEN 0 AND 1440);

ALTER TABLE rollout_runtime
  -- Counts resumptions and retries: a claim made for an earlier generation is not made.
  ADD COLUMN generation     integer NOT NULL DEFAULT 0,
  ADD COLUMN stage          integer NOT NULL DEFAULT 0,
  -- How many devices have been sent their first command, how many of those have ended, how many may (null: no limit).
  ADD COLUMN started_count         integer NOT NULL DEFAULT 0,
  ADD COLUMN finished_count   integer NOT NULL DEFAULT 0,
  ADD COLUMN start_limit integer DEFAULT 0,
  -- Nothing is sent at or after this instant, the end of the present send window; null: no end.
  ADD COLUMN sends_until    timestamptz;

UPDATE rollout_runtime SET start_limit = NULL;

-- One row a stage that a rollout has entered, with the numbers that its gate reads. Resuming sets the numbers to zero.
CREATE TABLE rollout_stages (
  rollout_id      bigint NOT NULL REFERENCES rollout_configurations ON DELETE CASCADE,
  stage           integer NOT NULL,
  -- Members up to this hash take part; it only rises from stage to stage.
  hash_cutoff     text NOT NULL,
  -- Members within the cutoff when the stage began; null for a slow start.
  target_count    integer,
  -- How many devices of a slow start may begin in it; null for a stage of the plan.
  start_quota     integer,
  began_at        timestamptz NOT NULL,
  gate_held_since timestamptz,
  ended_at        timestamptz,
  claimed         integer NOT NULL DEFAULT 0,
  succeeded       integer NOT NULL DEFAULT 0,
  failed          integer NOT NULL DEFAULT 0,
  -- As `failed`, a failed verification counted twice.
  failure_points  integer NOT NULL DEFAULT 0,
  canceled        integer NOT NULL DEFAULT 0,
  PRIMARY KEY (rollout_id, stage)
);

ALTER TABLE device_update_status
  ADD COLUMN stage              integer NOT NULL DEFAULT 0,
  ADD COLUMN is_stepping_stone  boolean NOT NULL DEFAULT false,
  -- A claim that a halt or a retry gave up: its device may be claimed again by the same rollout.
  ADD COLUMN is_reclaimable     boolean NOT NULL DEFAULT false,
  ADD COLUMN counts_as_started      boolean NOT NULL DEFAULT false,
  ADD COLUMN is_counted         boolean NOT NULL DEFAULT false,
  -- No command before this: jitter, or the wait before a retry. A device that wakes earlier waits too.
  ADD COLUMN not_before         timestamptz,
  ADD COLUMN next_family        text,
  ADD COLUMN next_delivery      text,
  ADD COLUMN unreachable_since  timestamptz,
  ADD COLUMN unexpected_version text,
  ADD COLUMN late_success_at    timestamptz,
  DROP CONSTRAINT device_update_status_rollout_device_key;

CREATE UNIQUE INDEX device_update_status_claim_idx ON device_update_status (rollout_id, device_id, firmware_version)
  WHERE NOT is_reclaimable;

DROP INDEX device_update_status_slot_idx;

-- Devices that have begun are looked at apart from those that have not: retries must not wait behind a whole fleet.
DROP INDEX device_update_status_owed_idx;

CREATE INDEX device_update_status_owed_idx ON device_update_status (rollout_id, counts_as_started, enqueue_after)
  WHERE status = 'pending';

CREATE INDEX device_update_status_untallied_idx ON device_update_status (rollout_id)
  WHERE completed_at IS NOT NULL AND NOT is_counted AND rollout_id IS NOT NULL;

-- Open updates of devices within reach: while there is one, a stage is under way.
CREATE INDEX device_update_status_reach_idx ON device_update_status (rollout_id)
  WHERE completed_at IS NULL AND unreachable_since IS NULL;

-- Devices that began, went quiet and are out of reach: while they stay so, they count as failures.
CREATE INDEX device_update_status_silent_idx ON device_update_status (rollout_id)
  WHERE completed_at IS NULL AND unreachable_since IS NOT NULL AND started_at IS NOT NULL;

CREATE INDEX device_update_status_cancelable_idx ON device_update_status (rollout_id)
  WHERE completed_at IS NULL AND status IN ('pending', 'sent');

CREATE INDEX device_update_status_unexpected_idx ON device_update_status (rollout_id, unexpected_version)
  WHERE unexpected_version IS NOT NULL;

-- Failures that a late success may yet take out of the count.
CREATE INDEX device_update_status_regrettable_idx ON device_update_status (device_id)
  WHERE status IN ('failed', 'rolled_back', 'timed_out') AND late_success_at IS NULL AND rollout_id IS NOT NULL;

ALTER TABLE update_attempts
  ADD COLUMN ended_at    timestamptz,
  ADD COLUMN status      text,
  ADD COLUMN result_code integer,
  ADD COLUMN reason      text;

ALTER TABLE ota_events
  -- When the change of a rollout was put on the event bus; null while it has yet to be.
  ADD COLUMN published_at timestamptz;

UPDATE ota_events SET published_at = created_at WHERE device_id IS NULL;

CREATE INDEX ota_events_unpublished_idx ON ota_events (id) WHERE device_id IS NULL AND published_at IS NULL;

CREATE INDEX ota_events_device_idx ON ota_events (device_id, received_at) WHERE device_id IS NOT NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO paku_app;

REVOKE INSERT, UPDATE, DELETE ON schema_migrations FROM paku_app;
