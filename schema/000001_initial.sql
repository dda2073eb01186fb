-- The five tables of the seed (devices, firmware_releases, device_update_status, rollout_configurations, ota_events)
-- with their names and columns, and what the service needs beside them. PostgreSQL 15 features only.

CREATE TABLE devices (
  device_id                text PRIMARY KEY,
  mac_address              text,
  device_model             text NOT NULL DEFAULT 'esp32-s3',
  current_firmware_version text NOT NULL DEFAULT 'unknown',
  last_seen                timestamptz,
  registered_at            timestamptz NOT NULL DEFAULT now(),
  online                   boolean NOT NULL DEFAULT false,
  client_id                text,
  command_family           text,
  uptime_seconds           bigint,
  signal_strength_dbm      integer,
  metadata                 jsonb NOT NULL DEFAULT '{}',
  last_status              jsonb NOT NULL DEFAULT '{}',
  -- When the broker received the message that each field came from: an older message never overwrites a newer one,
  -- whatever the order in which the two are processed.
  mac_received_at          timestamptz,
  model_received_at        timestamptz,
  version_received_at      timestamptz,
  reachability_received_at timestamptz,
  family_received_at       timestamptz,
  CONSTRAINT devices_device_id_check CHECK (device_id ~ '^[A-Za-z0-9_:-]{1,64}$'),
  CONSTRAINT devices_mac_address_check CHECK (mac_address ~ '^([0-9A-F]{2}:){5}[0-9A-F]{2}$'),
  CONSTRAINT devices_command_family_check CHECK (command_family IN ('devices', 'edge'))
);

CREATE INDEX devices_mac_address_idx ON devices (mac_address);

CREATE INDEX devices_model_version_idx ON devices (device_model, current_firmware_version);

CREATE TABLE device_groups (
  device_id  text NOT NULL REFERENCES devices ON DELETE CASCADE,
  group_name text NOT NULL,
  PRIMARY KEY (group_name, device_id)
);

-- The chip of a model, fixed by its first registered release where neither the settings nor its name say it.
CREATE TABLE model_chips (
  device_model text PRIMARY KEY,
  chip         text NOT NULL
);

CREATE TABLE firmware_releases (
  id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  version         text NOT NULL,
  device_model    text NOT NULL,
  object_key      text NOT NULL,
  file_size       bigint NOT NULL,
  checksum_sha256 text NOT NULL,
  chip            text NOT NULL,
  project_name    text,
  app_version     text,
  min_version     text,
  changelog       text,
  release_notes   text,
  is_signed       boolean NOT NULL DEFAULT false,
  image           jsonb NOT NULL DEFAULT '{}',
  warnings        jsonb NOT NULL DEFAULT '[]',
  uploaded_key    text,
  created_at      timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT firmware_releases_version_model_key UNIQUE (device_model, version),
  CONSTRAINT firmware_releases_checksum_check CHECK (checksum_sha256 ~ '^[0-9a-f]{64}$')
);

-- Uploads that did not become a release, each with its verdict. The object stays where it was put.
CREATE TABLE rejected_uploads (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  object_key  text NOT NULL,
  object_version text NOT NULL,
  file_size   bigint NOT NULL,
  verdict     text NOT NULL,
  message     text NOT NULL,
  image       jsonb NOT NULL DEFAULT '{}',
  uploaded_at timestamptz NOT NULL,
  CONSTRAINT rejected_uploads_object_key UNIQUE (object_key, object_version)
);

CREATE TABLE rollout_configurations (
  id                       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name                     text NOT NULL,
  firmware_version         text NOT NULL,
  device_model             text NOT NULL DEFAULT 'esp32-s3',
  target_type              text NOT NULL DEFAULT 'all',
  target_filter            jsonb NOT NULL DEFAULT '{}',
  rollout_percentage       integer NOT NULL DEFAULT 100,
  is_active                boolean NOT NULL DEFAULT true,
  allow_downgrade          boolean NOT NULL DEFAULT false,
  include_unknown          boolean NOT NULL DEFAULT false,
  attempt_timeout_minutes  integer NOT NULL DEFAULT 15,
  boot_timeout_minutes  integer NOT NULL DEFAULT 15,
  probation_minutes         integer NOT NULL DEFAULT 5,
  give_up_days      integer NOT NULL DEFAULT 30,
  max_in_flight            integer,
  max_per_minute           integer,
  -- The highest md5(rollout_id:device_id) that takes part; null until the first members are known. It only rises.
  target_hash_cutoff         text,
  paused_at                timestamptz,
  paused_reason            text,
  paused_by                text,
  completed_at             timestamptz,
  created_at               timestamptz NOT NULL DEFAULT now(),
  updated_at               timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT rollout_configurations_name_key UNIQUE (name),
  CONSTRAINT rollout_configurations_target_type_check CHECK (target_type IN ('all', 'group', 'canary', 'specific')),
  CONSTRAINT rollout_configurations_percentage_check CHECK (rollout_percentage BETWEEN 0 AND 100),
  CONSTRAINT rollout_configurations_limits_check CHECK (
    attempt_timeout_minutes > 0 AND boot_timeout_minutes > 0 AND probation_minutes >= 0 AND give_up_days > 0
    AND max_in_flight > 0 AND max_per_minute > 0)
);

-- One row a rollout: what every send must pass. Reservations are an UPDATE whose conditions read this row alone,
-- so that concurrent dispatchers are serialised by its lock and no limit can be exceeded.
CREATE TABLE rollout_runtime (
  rollout_id     bigint PRIMARY KEY REFERENCES rollout_configurations ON DELETE CASCADE,
  in_flight      integer NOT NULL DEFAULT 0,
  minute         timestamptz,
  sent_in_minute integer NOT NULL DEFAULT 0,
  granted        integer NOT NULL DEFAULT 0,
  is_stopped         boolean NOT NULL DEFAULT false,
  CONSTRAINT rollout_runtime_in_flight_check CHECK (in_flight >= 0)
);

-- One row a device update: one device in one rollout, or (unsolicited) an update that the device began by itself.
CREATE TABLE device_update_status (
  id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  device_id        text NOT NULL REFERENCES devices ON DELETE CASCADE,
  rollout_id       bigint REFERENCES rollout_configurations ON DELETE CASCADE,
  release_id       bigint REFERENCES firmware_releases,
  firmware_version text NOT NULL,
  previous_version text,
  status           text NOT NULL DEFAULT 'pending',
  attempt          integer NOT NULL DEFAULT 0,
  sends            integer NOT NULL DEFAULT 0,
  progress_percent integer,
  result_code      integer,
  error_message    text,
  started_at       timestamptz,
  reported_at      timestamptz,
  created_at       timestamptz NOT NULL DEFAULT now(),
  sent_at          timestamptz,
  acknowledged_at  timestamptz,
  installed_at       timestamptz,
  booted_at     timestamptz,
  deadline_at      timestamptz,
  enqueue_after    timestamptz,
  completed_at        timestamptz,
  holds_slot        boolean NOT NULL DEFAULT false,
  -- How many events of the attempt the status was folded from: a fold that saw fewer never overwrites one that saw more.
  evaluated_events    integer NOT NULL DEFAULT 0,
  CONSTRAINT device_update_status_status_check CHECK (status IN ('pending', 'sent', 'downloading', 'downloaded',
    'installing', 'success', 'failed', 'rolled_back', 'timed_out', 'canceled')),
  CONSTRAINT device_update_status_rollout_device_key UNIQUE (rollout_id, device_id)
);

-- One open update a device. What a device began by itself stands outside.
CREATE UNIQUE INDEX device_update_status_open_idx ON device_update_status (device_id)
  WHERE completed_at IS NULL AND rollout_id IS NOT NULL;

CREATE INDEX device_update_status_device_idx ON device_update_status (device_id, id);

CREATE INDEX device_update_status_deadline_idx ON device_update_status (deadline_at) WHERE completed_at IS NULL;

CREATE INDEX device_update_status_owed_idx ON device_update_status (rollout_id, enqueue_after) WHERE status = 'pending';

CREATE INDEX device_update_status_slot_idx ON device_update_status (rollout_id) WHERE holds_slot AND completed_at IS NOT NULL;

-- One row a send. A device names no attempt: its messages belong to the newest attempt sent before they were received.
CREATE TABLE update_attempts (
  update_id      bigint NOT NULL REFERENCES device_update_status ON DELETE CASCADE,
  attempt        integer NOT NULL,
  device_id      text NOT NULL,
  version        text NOT NULL,
  sent_at        timestamptz NOT NULL,
  command_family text,
  delivery       text,
  send_result    text,
  PRIMARY KEY (update_id, attempt)
);

CREATE INDEX update_attempts_device_idx ON update_attempts (device_id, sent_at DESC);

-- Everything that happened: each message about an update, each decision about a rollout.
CREATE TABLE ota_events (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  device_id    text,
  rollout_id   bigint,
  update_id    bigint,
  attempt      integer,
  event_type   text NOT NULL,
  state        text,
  received_at  timestamptz NOT NULL,
  payload      jsonb NOT NULL DEFAULT '{}',
  payload_hash text NOT NULL,
  created_at   timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT ota_events_message_key UNIQUE NULLS NOT DISTINCT (device_id, event_type, received_at, payload_hash)
);

CREATE INDEX ota_events_attempt_idx ON ota_events (update_id, attempt);

CREATE INDEX ota_events_rollout_idx ON ota_events (rollout_id, id) WHERE device_id IS NULL;

CREATE TABLE rejected_messages (
  id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  topic          text NOT NULL,
  client_id      text,
  reason         text NOT NULL,
  payload        text NOT NULL,
  payload_bytes  integer NOT NULL,
  payload_sha256 text NOT NULL,
  received_at    timestamptz NOT NULL,
  CONSTRAINT rejected_messages_message_key UNIQUE (topic, received_at, payload_sha256)
);

-- Who does a piece of singular work now. Advisory locks do not outlive one Data API call; a row does.
CREATE TABLE leases (
  name       text PRIMARY KEY,
  holder     text NOT NULL,
  expires_at timestamptz NOT NULL
);

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO paku_app;

-- The application reads which schema it runs on; it never writes it.
REVOKE INSERT, UPDATE, DELETE ON schema_migrations FROM paku_app;
