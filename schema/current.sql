-- The schema that all migrations together make, as the catalog of a migrated database has it.
-- Made by npm run gen:schema; do not edit. The comments are in docs/data-model.md.

CREATE TABLE devices (
  device_id                text        NOT NULL,
  device_model             text        DEFAULT 'esp32-s3' NOT NULL,
  current_firmware_version text        DEFAULT 'unknown' NOT NULL,
  mac_address              text,
  reported_model           text,
  reported_mac             text,
  identity_changed_at      timestamptz,
  client_id                text,
  certificate_id           text,
  checked_certificate_id   text,
  certificate_is_new       boolean     GENERATED ALWAYS AS (certificate_id IS NOT NULL AND certificate_id IS DISTINCT FROM checked_certificate_id) STORED NOT NULL,
  command_family           text,
  family_asked_version     text,
  online                   boolean     DEFAULT false NOT NULL,
  last_seen                timestamptz,
  last_seen_day            date        GENERATED ALWAYS AS ((last_seen AT TIME ZONE 'UTC')::date) STORED,
  registered_at            timestamptz DEFAULT now() NOT NULL,
  uptime_seconds           bigint,
  signal_strength_dbm      integer,
  report_interval_seconds  real,
  restarts                 integer     DEFAULT 0 NOT NULL,
  observed_seconds         bigint      DEFAULT 0 NOT NULL,
  last_status              jsonb       DEFAULT '{}' NOT NULL,
  status_fault             text,
  metadata                 jsonb       DEFAULT '{}' NOT NULL,
  facts                    jsonb       DEFAULT '{}' NOT NULL,
  fact_times               jsonb       DEFAULT '{}' NOT NULL,
  revoked_at               timestamptz,
  revoked_reason           text,
  revoked_by               text,
  model_received_at        timestamptz,
  model_is_assumed         boolean     GENERATED ALWAYS AS (model_received_at IS NULL AND device_model = 'esp32-s3') STORED NOT NULL,
  version_received_at      timestamptz,
  mac_received_at          timestamptz,
  family_received_at       timestamptz,
  reachability_received_at timestamptz,
  CONSTRAINT devices_pkey PRIMARY KEY (device_id),
  CONSTRAINT devices_command_family_check CHECK (command_family = ANY (ARRAY['devices', 'edge'])),
  CONSTRAINT devices_device_id_check CHECK (device_id ~ '^[A-Za-z0-9_:-]{1,64}$'),
  CONSTRAINT devices_identity_changed_check CHECK ((identity_changed_at IS NULL) = (reported_model IS NULL AND reported_mac IS NULL)),
  CONSTRAINT devices_mac_address_check CHECK (mac_address ~ '^([0-9A-F]{2}:){5}[0-9A-F]{2}$'),
  CONSTRAINT devices_reported_mac_check CHECK (reported_mac ~ '^([0-9A-F]{2}:){5}[0-9A-F]{2}$')
) WITH (fillfactor=80);
CREATE INDEX devices_model_version_idx ON devices (device_model, current_firmware_version);
CREATE INDEX devices_scan_idx ON devices (device_model, device_id COLLATE "C");
CREATE INDEX devices_revoked_idx ON devices (device_id) WHERE revoked_at IS NOT NULL;
CREATE INDEX devices_identity_changed_idx ON devices (identity_changed_at) WHERE identity_changed_at IS NOT NULL;
CREATE INDEX devices_model_assumed_idx ON devices (device_id) WHERE model_is_assumed;
CREATE INDEX devices_certificate_new_idx ON devices (device_id) WHERE certificate_is_new;
CREATE INDEX devices_mac_address_idx ON devices (mac_address);
CREATE INDEX devices_id_search_idx ON devices (lower(device_id) text_pattern_ops);
CREATE INDEX devices_suffix_search_idx ON devices (lower(regexp_replace(device_id, '^.*-', '')) text_pattern_ops);
CREATE INDEX devices_metadata_idx ON devices USING gin (metadata jsonb_path_ops);
CREATE INDEX devices_mac_search_idx ON devices (mac_address text_pattern_ops);
CREATE INDEX devices_last_seen_day_idx ON devices (last_seen_day);

CREATE TABLE device_groups (
  device_id  text NOT NULL,
  group_name text NOT NULL,
  CONSTRAINT device_groups_pkey PRIMARY KEY (group_name, device_id),
  CONSTRAINT device_groups_device_id_fkey FOREIGN KEY (device_id) REFERENCES devices(device_id) ON DELETE CASCADE
);
CREATE INDEX device_groups_device_idx ON device_groups (device_id);

CREATE TABLE device_changes (
  device_id  text NOT NULL,
  changed_in xid8 DEFAULT pg_current_xact_id() NOT NULL
);
CREATE INDEX device_changes_changed_in_idx ON device_changes (changed_in);

CREATE TABLE firmware_releases (
  id                   bigint      GENERATED ALWAYS AS IDENTITY NOT NULL,
  version              text        NOT NULL,
  device_model         text        NOT NULL,
  object_key           text        NOT NULL,
  file_size            bigint      NOT NULL,
  checksum_sha256      text        NOT NULL,
  uploaded_key         text,
  requested_by         text,
  put_by               text,
  put_from             text,
  chip                 text        NOT NULL,
  project_name         text,
  app_version          text,
  min_version          text,
  changelog            text,
  release_notes        text,
  is_signed            boolean     DEFAULT false NOT NULL,
  signing_key          text,
  signature_expires_at timestamptz,
  manifest             text,
  manifest_signature   text,
  image                jsonb       DEFAULT '{}' NOT NULL,
  warnings             jsonb       DEFAULT '[]' NOT NULL,
  created_at           timestamptz DEFAULT now() NOT NULL,
  revoked_at           timestamptz,
  revoked_reason       text,
  revoked_by           text,
  CONSTRAINT firmware_releases_pkey PRIMARY KEY (id),
  CONSTRAINT firmware_releases_model_version_key UNIQUE (device_model, version),
  CONSTRAINT firmware_releases_checksum_check CHECK (checksum_sha256 ~ '^[0-9a-f]{64}$')
);
CREATE UNIQUE INDEX firmware_releases_spelling_idx ON firmware_releases (device_model, ltrim(version, 'vV'));

CREATE TABLE model_chips (
  device_model text NOT NULL,
  chip         text NOT NULL,
  CONSTRAINT model_chips_pkey PRIMARY KEY (device_model)
);

CREATE TABLE rejected_uploads (
  id             bigint      GENERATED ALWAYS AS IDENTITY NOT NULL,
  object_key     text        NOT NULL,
  object_version text        NOT NULL,
  file_size      bigint      NOT NULL,
  verdict        text        NOT NULL,
  message        text        NOT NULL,
  image          jsonb       DEFAULT '{}' NOT NULL,
  uploaded_at    timestamptz NOT NULL,
  requested_by   text,
  put_by         text,
  put_from       text,
  CONSTRAINT rejected_uploads_pkey PRIMARY KEY (id),
  CONSTRAINT rejected_uploads_object_version_key UNIQUE (object_key, object_version)
);

CREATE TABLE upload_requests (
  token          text        NOT NULL,
  object_key     text        NOT NULL,
  requested_by   text        NOT NULL,
  requested_at   timestamptz NOT NULL,
  object_version text,
  CONSTRAINT upload_requests_pkey PRIMARY KEY (token)
);

CREATE TABLE rollout_configurations (
  id                      bigint           GENERATED ALWAYS AS IDENTITY NOT NULL,
  name                    text             NOT NULL,
  firmware_version        text             NOT NULL,
  device_model            text             DEFAULT 'esp32-s3' NOT NULL,
  target_type             text             DEFAULT 'all' NOT NULL,
  target_filter           jsonb            DEFAULT '{}' NOT NULL,
  rollout_percentage      integer          DEFAULT 100 NOT NULL,
  target_hash_cutoff      text,
  member_percentage       integer,
  counted_at              timestamptz,
  allow_downgrade         boolean          DEFAULT false NOT NULL,
  include_unknown         boolean          DEFAULT false NOT NULL,
  stepping_stones         jsonb,
  newest_release_id       bigint           DEFAULT 0 NOT NULL,
  priority                integer          DEFAULT 0 NOT NULL,
  keep_open               boolean          DEFAULT false NOT NULL,
  start_at                timestamptz,
  after_rollout_id        bigint,
  end_at                  timestamptz,
  send_window             jsonb,
  jitter_minutes          integer          DEFAULT 0 NOT NULL,
  stages                  jsonb,
  failure_threshold       double precision DEFAULT 0.10 NOT NULL,
  failure_count           integer,
  max_restart_ratio       double precision DEFAULT 2,
  min_reports             integer          DEFAULT 5 NOT NULL,
  max_in_flight           integer,
  max_in_flight_per       jsonb,
  first_stage_covers      jsonb,
  max_per_minute          integer,
  max_attempts            integer          DEFAULT 3 NOT NULL,
  attempt_timeout_minutes integer          DEFAULT 15 NOT NULL,
  boot_timeout_minutes    integer          DEFAULT 15 NOT NULL,
  probation_minutes       integer          DEFAULT 5 NOT NULL,
  give_up_days            integer          DEFAULT 30 NOT NULL,
  is_active               boolean          DEFAULT true NOT NULL,
  paused_at               timestamptz,
  paused_reason           text,
  paused_by               text,
  completed_at            timestamptz,
  aborted_at              timestamptz,
  approved_content        jsonb,
  approved_targets        integer,
  approved_at             timestamptz,
  created_at              timestamptz      DEFAULT now() NOT NULL,
  created_by              text,
  updated_at              timestamptz      DEFAULT now() NOT NULL,
  CONSTRAINT rollout_configurations_pkey PRIMARY KEY (id),
  CONSTRAINT rollout_configurations_name_key UNIQUE (name),
  CONSTRAINT rollout_configurations_after_check CHECK (after_rollout_id < id),
  CONSTRAINT rollout_configurations_approved_check CHECK (jsonb_typeof(approved_content) = 'object' AND approved_targets >= 0 AND approved_at >= '2000-01-01 00:00:00+00'::timestamptz AND approved_at <= '2200-01-01 00:00:00+00'::timestamptz),
  CONSTRAINT rollout_configurations_covers_check CHECK (first_stage_covers IS NULL OR COALESCE(
CASE
    WHEN jsonb_typeof(first_stage_covers) = 'array' THEN jsonb_array_length(first_stage_covers) >= 1 AND jsonb_array_length(first_stage_covers) <= 3 AND NOT jsonb_path_exists(first_stage_covers, '$[*]?(@.type() != "string" || !(@ like_regex "^(version|(attributes|facts)[.].{1,64})$"))'::jsonpath)
    ELSE NULL::boolean
END, false)),
  CONSTRAINT rollout_configurations_gate_check CHECK (failure_threshold >= 0::double precision AND failure_threshold <= 1::double precision AND failure_count > 0 AND max_restart_ratio >= 1::double precision AND max_restart_ratio <= 1000::double precision AND min_reports > 0 AND max_attempts >= 1 AND max_attempts <= 20 AND jitter_minutes >= 0 AND jitter_minutes <= 1440),
  CONSTRAINT rollout_configurations_in_flight_per_check CHECK (max_in_flight_per IS NULL OR COALESCE(
CASE
    WHEN jsonb_typeof(max_in_flight_per) = 'object' THEN (max_in_flight_per - 'attribute' - 'max') = '{}' AND jsonb_typeof(max_in_flight_per -> 'attribute') = 'string' AND length(max_in_flight_per ->> 'attribute') >= 1 AND length(max_in_flight_per ->> 'attribute') <= 64 AND jsonb_typeof(max_in_flight_per -> 'max') = 'number' AND (max_in_flight_per ->> 'max') ~ '^[1-9][0-9]{0,5}$'
    ELSE NULL::boolean
END, false)),
  CONSTRAINT rollout_configurations_limits_check CHECK (attempt_timeout_minutes >= 1 AND attempt_timeout_minutes <= 1440 AND boot_timeout_minutes >= 1 AND boot_timeout_minutes <= 1440 AND probation_minutes >= 0 AND probation_minutes <= 1440 AND give_up_days >= 1 AND give_up_days <= 365 AND max_in_flight > 0 AND max_per_minute > 0),
  CONSTRAINT rollout_configurations_name_check CHECK (length(name) <= 255 AND name ~ '[^0-9]'),
  CONSTRAINT rollout_configurations_percentage_check CHECK (rollout_percentage >= 1 AND rollout_percentage <= 100 AND member_percentage >= 0 AND member_percentage <= 100 AND target_hash_cutoff ~ '^[0-9a-f]{32}$'),
  CONSTRAINT rollout_configurations_target_type_check CHECK (target_type = ANY (ARRAY['all', 'group', 'canary', 'specific'])),
  CONSTRAINT rollout_configurations_text_check CHECK (length(firmware_version) >= 1 AND length(firmware_version) <= 64 AND length(device_model) >= 1 AND length(device_model) <= 64 AND length(paused_reason) <= 2000 AND length(paused_by) <= 256 AND length(created_by) <= 256),
  CONSTRAINT rollout_configurations_times_check CHECK (start_at >= '2000-01-01 00:00:00+00'::timestamptz AND start_at <= '2200-01-01 00:00:00+00'::timestamptz AND end_at >= '2000-01-01 00:00:00+00'::timestamptz AND end_at <= '2200-01-01 00:00:00+00'::timestamptz AND paused_at >= '2000-01-01 00:00:00+00'::timestamptz AND paused_at <= '2200-01-01 00:00:00+00'::timestamptz AND completed_at >= '2000-01-01 00:00:00+00'::timestamptz AND completed_at <= '2200-01-01 00:00:00+00'::timestamptz AND aborted_at >= '2000-01-01 00:00:00+00'::timestamptz AND aborted_at <= '2200-01-01 00:00:00+00'::timestamptz AND created_at >= '2000-01-01 00:00:00+00'::timestamptz AND created_at <= '2200-01-01 00:00:00+00'::timestamptz AND updated_at >= '2000-01-01 00:00:00+00'::timestamptz AND updated_at <= '2200-01-01 00:00:00+00'::timestamptz AND counted_at >= '2000-01-01 00:00:00+00'::timestamptz AND counted_at <= '2200-01-01 00:00:00+00'::timestamptz),
  CONSTRAINT rollout_configurations_after_rollout_id_fkey FOREIGN KEY (after_rollout_id) REFERENCES rollout_configurations(id)
);
CREATE INDEX rollout_configurations_facts_idx ON rollout_configurations (id) WHERE is_active AND completed_at IS NULL AND aborted_at IS NULL AND COALESCE(target_filter -> 'facts', (target_filter -> 'except') -> 'facts') IS NOT NULL;

CREATE TABLE approval_requests (
  id           bigint      GENERATED ALWAYS AS IDENTITY NOT NULL,
  rollout_id   bigint      NOT NULL,
  action       text        NOT NULL,
  content      jsonb       NOT NULL,
  devices      integer     NOT NULL,
  targets      integer     NOT NULL,
  reason       text,
  requested_by text        NOT NULL,
  requested_at timestamptz NOT NULL,
  CONSTRAINT approval_requests_pkey PRIMARY KEY (id),
  CONSTRAINT approval_requests_rollout_key UNIQUE (rollout_id),
  CONSTRAINT approval_requests_action_check CHECK (action = ANY (ARRAY['start', 'resume', 'retry', 'advance'])),
  CONSTRAINT approval_requests_devices_check CHECK (devices >= 0 AND targets >= 0),
  CONSTRAINT approval_requests_text_check CHECK (length(reason) <= 500 AND length(requested_by) <= 256),
  CONSTRAINT approval_requests_times_check CHECK (requested_at >= '2000-01-01 00:00:00+00'::timestamptz AND requested_at <= '2200-01-01 00:00:00+00'::timestamptz),
  CONSTRAINT approval_requests_rollout_id_fkey FOREIGN KEY (rollout_id) REFERENCES rollout_configurations(id) ON DELETE CASCADE
);

CREATE TABLE rollout_runtime (
  rollout_id       bigint      NOT NULL,
  is_stopped       boolean     DEFAULT false NOT NULL,
  generation       integer     DEFAULT 0 NOT NULL,
  target_version   text,
  stage            integer     DEFAULT 0 NOT NULL,
  start_limit      integer     DEFAULT 0,
  started_count    integer     DEFAULT 0 NOT NULL,
  finished_count   integer     DEFAULT 0 NOT NULL,
  in_flight        integer     DEFAULT 0 NOT NULL,
  minute           timestamptz,
  sent_in_minute   integer     DEFAULT 0 NOT NULL,
  granted          integer     DEFAULT 0 NOT NULL,
  sends_until      timestamptz,
  scan_fingerprint text,
  scan_cursor      text,
  changes_from_xid xid8,
  CONSTRAINT rollout_runtime_pkey PRIMARY KEY (rollout_id),
  CONSTRAINT rollout_runtime_counters_check CHECK (generation <= 1000000000 AND start_limit <= 1000000000 AND started_count <= 1000000000 AND finished_count <= 1000000000 AND in_flight <= 1000000000 AND sent_in_minute <= 1000000000 AND granted <= 1000000000),
  CONSTRAINT rollout_runtime_in_flight_check CHECK (in_flight >= 0),
  CONSTRAINT rollout_runtime_times_check CHECK (minute >= '2000-01-01 00:00:00+00'::timestamptz AND minute <= '2200-01-01 00:00:00+00'::timestamptz AND sends_until >= '2000-01-01 00:00:00+00'::timestamptz AND sends_until <= '2200-01-01 00:00:00+00'::timestamptz),
  CONSTRAINT rollout_runtime_rollout_id_fkey FOREIGN KEY (rollout_id) REFERENCES rollout_configurations(id) ON DELETE CASCADE
);

CREATE TABLE rollout_stages (
  rollout_id      bigint      NOT NULL,
  stage           integer     NOT NULL,
  hash_cutoff     text        NOT NULL,
  later_cutoff    text        DEFAULT '' NOT NULL,
  is_exhausted    boolean     DEFAULT false NOT NULL,
  target_count    integer,
  sample_count    integer,
  start_quota     integer,
  began_at        timestamptz NOT NULL,
  extended_at     timestamptz,
  must_repeat     boolean     DEFAULT false NOT NULL,
  gate_held_since timestamptz,
  ended_at        timestamptz,
  CONSTRAINT rollout_stages_pkey PRIMARY KEY (rollout_id, stage),
  CONSTRAINT rollout_stages_times_check CHECK (began_at >= '2000-01-01 00:00:00+00'::timestamptz AND began_at <= '2200-01-01 00:00:00+00'::timestamptz AND extended_at >= '2000-01-01 00:00:00+00'::timestamptz AND extended_at <= '2200-01-01 00:00:00+00'::timestamptz AND gate_held_since >= '2000-01-01 00:00:00+00'::timestamptz AND gate_held_since <= '2200-01-01 00:00:00+00'::timestamptz AND ended_at >= '2000-01-01 00:00:00+00'::timestamptz AND ended_at <= '2200-01-01 00:00:00+00'::timestamptz),
  CONSTRAINT rollout_stages_rollout_id_fkey FOREIGN KEY (rollout_id) REFERENCES rollout_configurations(id) ON DELETE CASCADE
);

CREATE TABLE rollout_members (
  rollout_id bigint NOT NULL,
  device_id  text   NOT NULL,
  CONSTRAINT rollout_members_pkey PRIMARY KEY (device_id, rollout_id),
  CONSTRAINT rollout_members_device_id_fkey FOREIGN KEY (device_id) REFERENCES devices(device_id) ON DELETE CASCADE,
  CONSTRAINT rollout_members_rollout_id_fkey FOREIGN KEY (rollout_id) REFERENCES rollout_configurations(id) ON DELETE CASCADE
);
CREATE INDEX rollout_members_rollout_idx ON rollout_members (rollout_id);

CREATE TABLE holds (
  id           bigint      GENERATED ALWAYS AS IDENTITY NOT NULL,
  scope        text        NOT NULL,
  device_id    text,
  group_name   text,
  reason       text        NOT NULL,
  created_at   timestamptz DEFAULT now() NOT NULL,
  created_by   text,
  starts_at    timestamptz,
  began_at     timestamptz DEFAULT now(),
  ends_at      timestamptz,
  ended_at     timestamptz,
  ended_by     text,
  ended_reason text,
  CONSTRAINT holds_pkey PRIMARY KEY (id),
  CONSTRAINT holds_created_at_check CHECK (isfinite(created_at)),
  CONSTRAINT holds_ends_at_check CHECK (isfinite(ends_at)),
  CONSTRAINT holds_planned_check CHECK (began_at IS NOT NULL OR starts_at IS NOT NULL),
  CONSTRAINT holds_reason_check CHECK (length(reason) >= 1 AND length(reason) <= 500),
  CONSTRAINT holds_scope_check CHECK (scope = ANY (ARRAY['device', 'group', 'service'])),
  CONSTRAINT holds_starts_at_check CHECK (isfinite(starts_at)),
  CONSTRAINT holds_target_check CHECK ((scope = 'device') = (device_id IS NOT NULL) AND (scope = 'group') = (group_name IS NOT NULL)),
  CONSTRAINT holds_times_check CHECK (starts_at < ends_at),
  CONSTRAINT holds_device_id_fkey FOREIGN KEY (device_id) REFERENCES devices(device_id) ON DELETE CASCADE
);
CREATE INDEX holds_not_ended_idx ON holds (id) WHERE ended_at IS NULL;
CREATE INDEX holds_device_idx ON holds (device_id) WHERE device_id IS NOT NULL AND ended_at IS NULL;
CREATE INDEX holds_ended_idx ON holds (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE known_issues (
  id               bigint      GENERATED ALWAYS AS IDENTITY NOT NULL,
  device_model     text        NOT NULL,
  found_version    text        NOT NULL,
  title            text        NOT NULL,
  link             text,
  device_filter    jsonb       DEFAULT '{}' NOT NULL,
  created_at       timestamptz DEFAULT now() NOT NULL,
  created_by       text,
  fixed_version    text,
  fixed_at         timestamptz,
  fixed_by         text,
  withdrawn_at     timestamptz,
  withdrawn_by     text,
  withdrawn_reason text,
  CONSTRAINT known_issues_pkey PRIMARY KEY (id),
  CONSTRAINT known_issues_created_at_check CHECK (isfinite(created_at)),
  CONSTRAINT known_issues_device_filter_check CHECK (jsonb_typeof(device_filter) = 'object'),
  CONSTRAINT known_issues_link_check CHECK (link ~ '^https?://' AND length(link) <= 500),
  CONSTRAINT known_issues_title_check CHECK (length(title) >= 1 AND length(title) <= 200),
  CONSTRAINT known_issues_fixed_fkey FOREIGN KEY (device_model, fixed_version) REFERENCES firmware_releases(device_model, version),
  CONSTRAINT known_issues_found_fkey FOREIGN KEY (device_model, found_version) REFERENCES firmware_releases(device_model, version)
);
CREATE INDEX known_issues_model_idx ON known_issues (device_model, id) WHERE withdrawn_at IS NULL;

CREATE TABLE device_update_status (
  id                      bigint      GENERATED ALWAYS AS IDENTITY NOT NULL,
  device_id               text        NOT NULL,
  rollout_id              bigint,
  release_id              bigint,
  firmware_version        text        NOT NULL,
  previous_version        text,
  is_stepping_stone       boolean     DEFAULT false NOT NULL,
  failed_before           boolean     DEFAULT false NOT NULL,
  stage                   integer     DEFAULT 0 NOT NULL,
  status                  text        DEFAULT 'pending' NOT NULL,
  attempt                 integer     DEFAULT 0 NOT NULL,
  sends                   integer     DEFAULT 0 NOT NULL,
  progress_percent        integer,
  result_code             integer,
  error_message           text,
  cause                   text,
  unexpected_version      text,
  report_interval_seconds real,
  restarts_per_hour       real,
  observed_hours          real,
  created_at              timestamptz DEFAULT now() NOT NULL,
  not_before              timestamptz,
  spread_at               timestamptz,
  enqueue_after           timestamptz,
  next_family             text,
  next_delivery           text,
  unreachable_since       timestamptz,
  sent_at                 timestamptz,
  started_at              timestamptz,
  acknowledged_at         timestamptz,
  reported_at             timestamptz,
  installed_at            timestamptz,
  booted_at               timestamptz,
  deadline_at             timestamptz,
  completed_at            timestamptz,
  late_success_at         timestamptz,
  late_rollback_at        timestamptz,
  unverified_at           timestamptz,
  declined_count          integer     DEFAULT 0 NOT NULL,
  evaluated_events        integer     DEFAULT 0 NOT NULL,
  generation              integer     DEFAULT 0 NOT NULL,
  holds_slot              boolean     DEFAULT false NOT NULL,
  counts_as_started       boolean     DEFAULT false NOT NULL,
  is_counted              boolean     DEFAULT false NOT NULL,
  is_reclaimable          boolean     DEFAULT false NOT NULL,
  is_replaced             boolean     DEFAULT false NOT NULL,
  CONSTRAINT device_update_status_pkey PRIMARY KEY (id),
  CONSTRAINT device_update_status_cause_check CHECK (cause = ANY (ARRAY['build', 'silence', 'delivery', 'declined', 'not_reached'])),
  CONSTRAINT device_update_status_status_check CHECK (status = ANY (ARRAY['pending', 'sent', 'downloading', 'downloaded', 'installing', 'success', 'failed', 'rolled_back', 'timed_out', 'canceled'])),
  CONSTRAINT device_update_status_device_id_fkey FOREIGN KEY (device_id) REFERENCES devices(device_id) ON DELETE CASCADE,
  CONSTRAINT device_update_status_release_id_fkey FOREIGN KEY (release_id) REFERENCES firmware_releases(id),
  CONSTRAINT device_update_status_rollout_id_fkey FOREIGN KEY (rollout_id) REFERENCES rollout_configurations(id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX device_update_status_open_idx ON device_update_status (device_id) WHERE completed_at IS NULL AND rollout_id IS NOT NULL;
CREATE UNIQUE INDEX device_update_status_assignment_idx ON device_update_status (device_id, rollout_id, firmware_version) WHERE NOT is_reclaimable;
CREATE INDEX device_update_status_replaceable_idx ON device_update_status (rollout_id, device_id) WHERE is_reclaimable AND NOT is_replaced;
CREATE INDEX device_update_status_device_idx ON device_update_status (device_id, id);
CREATE INDEX device_update_status_late_success_idx ON device_update_status (device_id) WHERE (status = ANY (ARRAY['failed', 'rolled_back', 'timed_out'])) AND late_success_at IS NULL AND unverified_at IS NULL;
CREATE INDEX device_update_status_late_rollback_idx ON device_update_status (late_rollback_at) WHERE late_rollback_at IS NOT NULL;
CREATE INDEX device_update_status_unverified_idx ON device_update_status (unverified_at) WHERE unverified_at IS NOT NULL;
CREATE INDEX device_update_status_pending_idx ON device_update_status (rollout_id, counts_as_started, failed_before, enqueue_after) WHERE status = 'pending';
CREATE INDEX device_update_status_cancelable_idx ON device_update_status (rollout_id) WHERE completed_at IS NULL AND (status = ANY (ARRAY['pending', 'sent']));
CREATE INDEX device_update_status_in_flight_idx ON device_update_status (device_id) WHERE holds_slot AND completed_at IS NULL;
CREATE INDEX device_update_status_deadline_idx ON device_update_status (deadline_at) WHERE completed_at IS NULL;
CREATE INDEX device_update_status_uncounted_idx ON device_update_status (rollout_id) WHERE completed_at IS NOT NULL AND NOT is_counted AND rollout_id IS NOT NULL;
CREATE INDEX device_update_status_reachable_idx ON device_update_status (rollout_id) WHERE completed_at IS NULL AND unreachable_since IS NULL;
CREATE INDEX device_update_status_silent_idx ON device_update_status (rollout_id) WHERE completed_at IS NULL AND unreachable_since IS NOT NULL AND started_at IS NOT NULL;
CREATE INDEX device_update_status_unexpected_idx ON device_update_status (rollout_id, unexpected_version) WHERE unexpected_version IS NOT NULL;
CREATE INDEX device_update_status_probation_idx ON device_update_status (rollout_id, deadline_at) WHERE status = 'success' AND completed_at IS NULL;
CREATE INDEX device_update_status_health_idx ON device_update_status (rollout_id, generation, firmware_version, id) WHERE status = 'success' AND booted_at IS NOT NULL;
CREATE INDEX device_update_status_failed_before_idx ON device_update_status (rollout_id) WHERE failed_before AND counts_as_started;
CREATE INDEX device_update_status_rollout_idx ON device_update_status (rollout_id, id);
CREATE INDEX device_update_status_rollout_open_idx ON device_update_status (rollout_id, id) WHERE completed_at IS NULL;
CREATE INDEX device_update_status_rollout_status_idx ON device_update_status (rollout_id, status, id);
CREATE INDEX device_update_status_completed_idx ON device_update_status (completed_at) WHERE completed_at IS NOT NULL;

CREATE TABLE update_attempts (
  update_id      bigint      NOT NULL,
  attempt        integer     NOT NULL,
  device_id      text        NOT NULL,
  version        text        NOT NULL,
  command_family text,
  delivery       text,
  sent_at        timestamptz NOT NULL,
  send_result    text,
  ended_at       timestamptz,
  status         text,
  result_code    integer,
  reason         text,
  CONSTRAINT update_attempts_pkey PRIMARY KEY (update_id, attempt),
  CONSTRAINT update_attempts_update_id_fkey FOREIGN KEY (update_id) REFERENCES device_update_status(id) ON DELETE CASCADE
);
CREATE INDEX update_attempts_device_idx ON update_attempts (device_id, sent_at DESC);

CREATE TABLE ota_events (
  id           bigint      GENERATED ALWAYS AS IDENTITY NOT NULL,
  device_id    text,
  rollout_id   bigint,
  update_id    bigint,
  attempt      integer,
  event_type   text        NOT NULL,
  state        text,
  received_at  timestamptz NOT NULL,
  payload      jsonb       DEFAULT '{}' NOT NULL,
  payload_hash text        NOT NULL,
  created_at   timestamptz DEFAULT now() NOT NULL,
  published_at timestamptz,
  CONSTRAINT ota_events_pkey PRIMARY KEY (id),
  CONSTRAINT ota_events_message_key UNIQUE NULLS NOT DISTINCT (device_id, event_type, received_at, payload_hash)
);
CREATE INDEX ota_events_attempt_idx ON ota_events (update_id, attempt);
CREATE INDEX ota_events_device_idx ON ota_events (device_id, received_at) WHERE device_id IS NOT NULL;
CREATE INDEX ota_events_rollout_idx ON ota_events (rollout_id, id) WHERE device_id IS NULL;
CREATE INDEX ota_events_decisions_idx ON ota_events (id) WHERE device_id IS NULL;
CREATE INDEX ota_events_identity_idx ON ota_events (received_at) WHERE event_type = ANY (ARRAY['model_changed', 'mac_changed', 'mac_shared', 'certificates_revoked']);
CREATE INDEX ota_events_unpublished_idx ON ota_events (id) WHERE device_id IS NULL AND published_at IS NULL;

CREATE TABLE rejected_messages (
  id             bigint      GENERATED ALWAYS AS IDENTITY NOT NULL,
  topic          text        NOT NULL,
  device_id      text,
  client_id      text,
  reason         text        NOT NULL,
  payload        text        NOT NULL,
  payload_bytes  integer     NOT NULL,
  payload_sha256 text        NOT NULL,
  received_at    timestamptz NOT NULL,
  CONSTRAINT rejected_messages_pkey PRIMARY KEY (id),
  CONSTRAINT rejected_messages_message_key UNIQUE (topic, received_at, payload_sha256)
);
CREATE INDEX rejected_messages_received_idx ON rejected_messages (received_at);
CREATE INDEX rejected_messages_device_idx ON rejected_messages (device_id, id) WHERE device_id IS NOT NULL;

CREATE TABLE refused_clients (
  client_id text        NOT NULL,
  reason    text        NOT NULL,
  times     integer     NOT NULL,
  first_at  timestamptz NOT NULL,
  last_at   timestamptz NOT NULL,
  CONSTRAINT refused_clients_pkey PRIMARY KEY (client_id)
);

CREATE TABLE update_counts (
  rollout_id       bigint  NOT NULL,
  generation       integer NOT NULL,
  stage            integer NOT NULL,
  firmware_version text    NOT NULL,
  state            text    NOT NULL,
  cause            text,
  is_started       boolean NOT NULL,
  is_reclaimable   boolean NOT NULL,
  reason           text,
  updates          bigint  NOT NULL,
  is_compacted     boolean DEFAULT false NOT NULL
);
CREATE INDEX update_counts_rollout_idx ON update_counts (rollout_id);
CREATE INDEX update_counts_entries_idx ON update_counts (rollout_id) WHERE NOT is_compacted;

CREATE TABLE outcome_counts (
  rollout_id   bigint      NOT NULL,
  ended_at     timestamptz NOT NULL,
  is_success   boolean     NOT NULL,
  updates      bigint      NOT NULL,
  is_compacted boolean     DEFAULT false NOT NULL
);
CREATE INDEX outcome_counts_rollout_idx ON outcome_counts (rollout_id, ended_at);
CREATE INDEX outcome_counts_entries_idx ON outcome_counts (rollout_id, ended_at) WHERE NOT is_compacted;

CREATE TABLE version_counts (
  device_model     text    NOT NULL,
  firmware_version text    NOT NULL,
  devices          bigint  NOT NULL,
  restarts         bigint  DEFAULT 0 NOT NULL,
  observed_seconds bigint  DEFAULT 0 NOT NULL,
  is_compacted     boolean DEFAULT false NOT NULL
);
CREATE INDEX version_counts_version_idx ON version_counts (device_model, firmware_version);
CREATE INDEX version_counts_entries_idx ON version_counts (device_model, firmware_version) WHERE NOT is_compacted;

CREATE TABLE fleet_versions (
  sampled_at       timestamptz NOT NULL,
  device_model     text        NOT NULL,
  firmware_version text        NOT NULL,
  devices          integer     NOT NULL,
  CONSTRAINT fleet_versions_pkey PRIMARY KEY (sampled_at, device_model, firmware_version)
);

CREATE TABLE allowed_devices (
  device_id            text        NOT NULL,
  allowed_at           timestamptz NOT NULL,
  allowed_by           text        NOT NULL,
  provisioned_at       timestamptz,
  claim_certificate_id text,
  certificates         integer     DEFAULT 0 NOT NULL,
  device_model         text,
  mac_address          text,
  CONSTRAINT allowed_devices_pkey PRIMARY KEY (device_id),
  CONSTRAINT allowed_devices_device_id_check CHECK (device_id ~ '^[A-Za-z0-9_:-]{1,64}$'),
  CONSTRAINT allowed_devices_identity_check CHECK (mac_address IS NULL OR device_model IS NOT NULL),
  CONSTRAINT allowed_devices_mac_address_check CHECK (mac_address ~ '^([0-9A-F]{2}:){5}[0-9A-F]{2}$')
);

CREATE TABLE leases (
  name       text        NOT NULL,
  holder     text        NOT NULL,
  expires_at timestamptz NOT NULL,
  CONSTRAINT leases_pkey PRIMARY KEY (name)
);

CREATE TABLE ingestion_progress (
  queue        text             NOT NULL,
  messages     integer,
  empty_at     timestamptz,
  processed_at timestamptz,
  lag_seconds  double precision DEFAULT 0 NOT NULL,
  CONSTRAINT ingestion_progress_pkey PRIMARY KEY (queue)
);

CREATE TABLE schema_migrations (
  version    integer     NOT NULL,
  name       text        NOT NULL,
  checksum   text        NOT NULL,
  applied_at timestamptz DEFAULT now() NOT NULL,
  CONSTRAINT schema_migrations_pkey PRIMARY KEY (version)
);

CREATE FUNCTION record_device_change()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $$
BEGIN
  INSERT INTO device_changes (device_id) VALUES (coalesce(NEW.device_id, OLD.device_id));
  RETURN NULL;
END
$$;

CREATE FUNCTION record_fact_change()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $$
DECLARE
  volatile_facts text[] := '{battery_percent,free_heap_bytes,reset_reason}';
BEGIN
  IF NEW.facts - volatile_facts <> OLD.facts - volatile_facts OR EXISTS (
      SELECT FROM rollout_configurations AS r
      WHERE r.is_active AND r.completed_at IS NULL AND r.aborted_at IS NULL
        AND coalesce(r.target_filter -> 'facts', r.target_filter -> 'except' -> 'facts') IS NOT NULL AND EXISTS (
        SELECT FROM unnest(volatile_facts) AS name
        WHERE coalesce(r.target_filter -> 'facts' -> name, r.target_filter -> 'except' -> 'facts' -> name) IS NOT NULL
          AND NEW.facts -> name IS DISTINCT FROM OLD.facts -> name)) THEN
    INSERT INTO device_changes (device_id) VALUES (NEW.device_id);
  END IF;
  RETURN NULL;
END
$$;

CREATE FUNCTION record_hold()
 RETURNS trigger
 LANGUAGE plpgsql
AS $$
DECLARE
  is_new boolean := NEW.ended_at IS NULL;
  happened timestamptz := CASE WHEN is_new THEN NEW.began_at ELSE NEW.ended_at END;
  verb text := CASE WHEN is_new THEN 'held' ELSE 'hold_ended' END;
  detail jsonb := jsonb_strip_nulls(jsonb_build_object('hold', NEW.id, 'scope', NEW.scope, 'group', NEW.group_name, 'endsAt', NEW.ends_at,
    'reason', CASE WHEN is_new THEN NEW.reason ELSE NEW.ended_reason END,
    'by', coalesce(CASE WHEN is_new THEN NEW.created_by ELSE NEW.ended_by END, 'SQL')));
BEGIN
  INSERT INTO ota_events (device_id, event_type, received_at, payload, payload_hash)
  SELECT d.device_id, 'device_' || verb, happened, detail, md5(detail::text)
  FROM (
    SELECT NEW.device_id WHERE NEW.device_id IS NOT NULL
    UNION ALL SELECT g.device_id FROM device_groups AS g WHERE g.group_name = NEW.group_name) AS d (device_id)
  ORDER BY d.device_id ON CONFLICT DO NOTHING;
  INSERT INTO ota_events (rollout_id, event_type, received_at, payload, payload_hash)
  SELECT r.id, 'rollout_hold_ended', happened, detail, md5(r.id || ' ' || detail::text)
  FROM rollout_configurations AS r
  WHERE NOT is_new AND r.is_active AND r.paused_at IS NULL AND r.completed_at IS NULL AND r.aborted_at IS NULL
    AND EXISTS (SELECT FROM ota_events AS e WHERE e.rollout_id = r.id AND e.device_id IS NULL
      AND e.event_type = 'rollout_held' AND (e.payload ->> 'hold')::bigint = NEW.id)
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END
$$;

CREATE FUNCTION refuse_row()
 RETURNS trigger
 LANGUAGE plpgsql
AS $$
BEGIN
  RAISE insufficient_privilege USING MESSAGE = format('permission denied for this row of %s: role %s, %s', TG_TABLE_NAME, current_user, TG_NAME);
END
$$;

CREATE FUNCTION keep_decisions_in_order()
 RETURNS trigger
 LANGUAGE plpgsql
AS $$
BEGIN
  NEW.received_at := greatest(NEW.received_at, (
    SELECT CASE WHEN e.received_at < NEW.received_at + interval '5 minutes' THEN e.received_at END
    FROM ota_events AS e WHERE e.rollout_id = NEW.rollout_id AND e.device_id IS NULL ORDER BY e.id DESC LIMIT 1));
  RETURN NEW;
END
$$;

CREATE FUNCTION in_flight_by_value(attribute text, is_exclusive boolean)
 RETURNS TABLE(value text, in_flight integer)
 LANGUAGE plpgsql
AS $$
BEGIN
  IF is_exclusive THEN
    PERFORM pg_advisory_xact_lock(hashtext('in_flight_by_value'), hashtext(attribute));
  END IF;
  RETURN QUERY
  SELECT d.metadata ->> attribute, count(*)::integer
  FROM device_update_status AS u JOIN devices AS d ON d.device_id = u.device_id
  WHERE u.holds_slot AND u.completed_at IS NULL AND d.metadata -> attribute IS NOT NULL GROUP BY 1;
END
$$;

CREATE FUNCTION delete_old_events(before timestamptz, max_rows integer)
 RETURNS integer
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $$
  WITH deleted AS (
    DELETE FROM ota_events WHERE id IN (
      SELECT e.id FROM (SELECT * FROM ota_events ORDER BY id LIMIT max_rows) AS e
      LEFT JOIN device_update_status AS u ON u.id = e.update_id AND u.completed_at IS NULL
      LEFT JOIN rollout_configurations AS r ON r.id = e.rollout_id AND e.device_id IS NULL
        AND r.completed_at IS NULL AND r.aborted_at IS NULL
      WHERE e.received_at < least(before, now() - interval '7 days') AND u.id IS NULL AND r.id IS NULL)
    RETURNING id
  )
  SELECT count(*)::integer FROM deleted
$$;

CREATE FUNCTION choose_stepping_stones()
 RETURNS trigger
 LANGUAGE plpgsql
AS $$
BEGIN
  IF TG_OP = 'UPDATE' THEN
    IF (NEW.firmware_version, NEW.device_model) IS DISTINCT FROM (OLD.firmware_version, OLD.device_model) THEN
      IF NEW.stepping_stones IS NOT DISTINCT FROM OLD.stepping_stones THEN
        NEW.stepping_stones := NULL;
      END IF;
    -- A statement that sets newest_release_id chooses again, as of now.
    ELSIF NEW.newest_release_id = OLD.newest_release_id
      AND (OLD.stepping_stones IS NULL OR NEW.stepping_stones IS NOT DISTINCT FROM OLD.stepping_stones) THEN
      RETURN NEW;
    END IF;
  END IF;
  NEW.newest_release_id := (SELECT coalesce(max(id), 0) FROM firmware_releases);
  RETURN NEW;
END
$$;

CREATE FUNCTION void_approval_request()
 RETURNS trigger
 LANGUAGE plpgsql
AS $$
BEGIN
  WITH void AS (
    DELETE FROM approval_requests WHERE rollout_id = NEW.id RETURNING id, rollout_id, action
  )
  INSERT INTO ota_events (rollout_id, event_type, received_at, payload, payload_hash)
  SELECT rollout_id, 'rollout_request_voided', CASE WHEN NEW.updated_at <> OLD.updated_at THEN NEW.updated_at ELSE now() END, jsonb_build_object(
    'reason', 'the rollout was changed after its ' || action || ' was requested', 'action', action), md5(id || ' voided')
  FROM void
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END
$$;

CREATE FUNCTION record_identity_event(device text, kind text, happened timestamptz, detail jsonb)
 RETURNS void
 LANGUAGE sql
AS $$
  INSERT INTO ota_events (device_id, event_type, received_at, payload, payload_hash)
  SELECT device, kind, happened, detail, md5(detail::text)
  WHERE (SELECT count(*) FROM (
    SELECT FROM ota_events AS e
    WHERE e.device_id = device AND e.event_type = kind AND e.received_at > happened - interval '1 hour' LIMIT 5) AS recent) < 5
  ON CONFLICT DO NOTHING
$$;

CREATE FUNCTION record_identity_change()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $$
DECLARE
  model_before text := coalesce(OLD.reported_model, OLD.device_model);
  model text := coalesce(NEW.reported_model, NEW.device_model);
  mac_before text := coalesce(OLD.reported_mac, OLD.mac_address);
  mac text := coalesce(NEW.reported_mac, NEW.mac_address);
  others jsonb;
BEGIN
  IF NOT OLD.model_is_assumed AND OLD.reported_model IS DISTINCT FROM NEW.reported_model AND model_before <> model THEN
    PERFORM record_identity_event(NEW.device_id, 'model_changed', coalesce(NEW.model_received_at, now()),
      jsonb_build_object('from', model_before, 'to', model));
  END IF;
  IF mac_before <> mac THEN
    PERFORM record_identity_event(NEW.device_id, 'mac_changed', coalesce(NEW.mac_received_at, now()),
      jsonb_build_object('from', mac_before, 'to', mac));
  END IF;
  IF mac IS NOT NULL AND mac_before IS DISTINCT FROM mac THEN
    SELECT jsonb_agg(o.device_id) INTO others FROM (
      SELECT d.device_id FROM devices AS d
      WHERE d.mac_address = mac AND d.device_id <> NEW.device_id LIMIT 3) AS o;
    IF others IS NOT NULL THEN
      PERFORM record_identity_event(NEW.device_id, 'mac_shared', coalesce(NEW.mac_received_at, now()),
        jsonb_build_object('mac', mac, 'with', others));
    END IF;
  END IF;
  RETURN NULL;
END
$$;

CREATE FUNCTION normalize_model()
 RETURNS trigger
 LANGUAGE plpgsql
AS $$
BEGIN
  NEW.device_model := lower(btrim(NEW.device_model));
  RETURN NEW;
END
$$;

CREATE FUNCTION counted_state(status text, completed_at timestamptz, late_success_at timestamptz, late_rollback_at timestamptz)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
RETURN CASE WHEN ((status = 'success') AND (completed_at IS NULL)) THEN 'on_probation' WHEN (late_rollback_at IS NOT NULL) THEN 'late_rollback' WHEN (late_success_at IS NOT NULL) THEN 'late_success' ELSE status END;

CREATE FUNCTION counted_reason(status text, message text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
RETURN CASE WHEN (status = ANY (ARRAY['failed', 'rolled_back', 'timed_out'])) THEN COALESCE(message, '') ELSE NULL::text END;

CREATE FUNCTION counted_end(status text, completed_at timestamptz)
 RETURNS timestamptz
 LANGUAGE sql
 IMMUTABLE
RETURN CASE WHEN (status = ANY (ARRAY['success', 'failed', 'rolled_back', 'timed_out'])) THEN date_bin('00:00:10'::interval, completed_at, '2000-01-01 00:00:00+00'::timestamptz) ELSE NULL::timestamptz END;

CREATE FUNCTION count_new_updates()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $$
BEGIN
  INSERT INTO update_counts (rollout_id, generation, stage, firmware_version, state, cause, is_started, is_reclaimable, reason, updates)
  SELECT rollout_id, generation, stage, firmware_version, counted_state(status, completed_at, late_success_at, late_rollback_at), cause,
    counts_as_started, is_reclaimable, counted_reason(status, error_message), count(*)
  FROM new_rows WHERE rollout_id IS NOT NULL AND NOT is_replaced GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9;
  INSERT INTO outcome_counts (rollout_id, ended_at, is_success, updates)
  SELECT rollout_id, counted_end(status, completed_at), status = 'success', count(*)
  FROM new_rows WHERE rollout_id IS NOT NULL AND counted_end(status, completed_at) IS NOT NULL GROUP BY 1, 2, 3;
  RETURN NULL;
END
$$;

CREATE FUNCTION count_changed_updates()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $$
BEGIN
  INSERT INTO update_counts (rollout_id, generation, stage, firmware_version, state, cause, is_started, is_reclaimable, reason, updates)
  SELECT rollout_id, generation, stage, firmware_version, counted_state(status, completed_at, late_success_at, late_rollback_at), cause,
    counts_as_started, is_reclaimable, counted_reason(status, error_message), sum(n)
  FROM (SELECT *, 1 AS n FROM new_rows UNION ALL SELECT *, -1 FROM old_rows) AS changed
  WHERE rollout_id IS NOT NULL AND NOT is_replaced GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9 HAVING sum(n) <> 0;
  INSERT INTO outcome_counts (rollout_id, ended_at, is_success, updates)
  SELECT rollout_id, counted_end(status, completed_at), status = 'success', sum(n)
  FROM (SELECT *, 1 AS n FROM new_rows UNION ALL SELECT *, -1 FROM old_rows) AS changed
  WHERE rollout_id IS NOT NULL AND counted_end(status, completed_at) IS NOT NULL GROUP BY 1, 2, 3 HAVING sum(n) <> 0;
  RETURN NULL;
END
$$;

CREATE FUNCTION count_deleted_updates()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $$
BEGIN
  INSERT INTO update_counts (rollout_id, generation, stage, firmware_version, state, cause, is_started, is_reclaimable, reason, updates)
  SELECT rollout_id, generation, stage, firmware_version, counted_state(status, completed_at, late_success_at, late_rollback_at), cause,
    counts_as_started, is_reclaimable, counted_reason(status, error_message), -count(*)
  FROM old_rows WHERE rollout_id IS NOT NULL AND NOT is_replaced GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9;
  INSERT INTO outcome_counts (rollout_id, ended_at, is_success, updates)
  SELECT rollout_id, counted_end(status, completed_at), status = 'success', -count(*)
  FROM old_rows WHERE rollout_id IS NOT NULL AND counted_end(status, completed_at) IS NOT NULL GROUP BY 1, 2, 3;
  RETURN NULL;
END
$$;

CREATE FUNCTION counted_restarts(restarts integer, uptime_seconds bigint)
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE
RETURN CASE WHEN (uptime_seconds IS NULL) THEN GREATEST((restarts - 20), 0) ELSE restarts END;

CREATE FUNCTION presumed_offline_at(heard_at timestamptz, report_interval_seconds real)
 RETURNS timestamptz
 LANGUAGE sql
 STABLE
RETURN (heard_at + make_interval(secs => LEAST(GREATEST(((3)::double precision * COALESCE(report_interval_seconds, (1200)::real)), (120)::double precision), (172800)::double precision)));

CREATE FUNCTION count_device_version()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $$
DECLARE
  has_left boolean := TG_OP = 'DELETE' OR TG_OP = 'UPDATE' AND NEW.current_firmware_version <> OLD.current_firmware_version;
BEGIN
  IF has_left THEN
    INSERT INTO version_counts (device_model, firmware_version, devices, restarts, observed_seconds)
    VALUES (OLD.device_model, OLD.current_firmware_version, CASE WHEN OLD.revoked_at IS NULL THEN -1 ELSE 0 END,
      counted_restarts(OLD.restarts, OLD.uptime_seconds), OLD.observed_seconds);
  ELSIF TG_OP = 'UPDATE' AND OLD.revoked_at IS NULL THEN
    -- Only the model or the revocation changed: the device keeps its restarts.
    INSERT INTO version_counts (device_model, firmware_version, devices)
    VALUES (OLD.device_model, OLD.current_firmware_version, -1);
  END IF;
  IF TG_OP <> 'DELETE' AND NEW.revoked_at IS NULL THEN
    INSERT INTO version_counts (device_model, firmware_version, devices)
    VALUES (NEW.device_model, NEW.current_firmware_version, 1);
  END IF;
  RETURN NULL;
END
$$;

CREATE TRIGGER devices_record_insert AFTER INSERT ON devices FOR EACH ROW EXECUTE FUNCTION record_device_change();

CREATE TRIGGER devices_record_change AFTER UPDATE OF device_model, current_firmware_version, mac_address, metadata, revoked_at, identity_changed_at, model_received_at ON devices FOR EACH ROW WHEN (old.device_model IS DISTINCT FROM new.device_model OR old.current_firmware_version IS DISTINCT FROM new.current_firmware_version OR old.mac_address IS DISTINCT FROM new.mac_address OR old.metadata IS DISTINCT FROM new.metadata OR old.revoked_at IS DISTINCT FROM new.revoked_at OR (old.identity_changed_at IS NULL) IS DISTINCT FROM (new.identity_changed_at IS NULL) OR old.model_is_assumed IS DISTINCT FROM new.model_is_assumed) EXECUTE FUNCTION record_device_change();

CREATE TRIGGER devices_record_facts AFTER UPDATE OF facts ON devices FOR EACH ROW WHEN (old.facts <> new.facts) EXECUTE FUNCTION record_fact_change();

CREATE TRIGGER devices_record_identity_insert AFTER INSERT ON devices FOR EACH ROW WHEN (new.mac_address IS NOT NULL) EXECUTE FUNCTION record_identity_change();

CREATE TRIGGER devices_record_identity_change AFTER UPDATE OF device_model, mac_address, reported_model, reported_mac ON devices FOR EACH ROW WHEN (old.device_model IS DISTINCT FROM new.device_model OR old.mac_address IS DISTINCT FROM new.mac_address OR old.reported_model IS DISTINCT FROM new.reported_model OR old.reported_mac IS DISTINCT FROM new.reported_mac) EXECUTE FUNCTION record_identity_change();

CREATE TRIGGER devices_count_version AFTER INSERT OR DELETE ON devices FOR EACH ROW EXECUTE FUNCTION count_device_version();

CREATE TRIGGER devices_count_version_change AFTER UPDATE OF device_model, current_firmware_version, revoked_at ON devices FOR EACH ROW WHEN (old.device_model IS DISTINCT FROM new.device_model OR old.current_firmware_version IS DISTINCT FROM new.current_firmware_version OR (old.revoked_at IS NULL) IS DISTINCT FROM (new.revoked_at IS NULL)) EXECUTE FUNCTION count_device_version();

CREATE TRIGGER device_groups_record_change AFTER INSERT OR DELETE OR UPDATE ON device_groups FOR EACH ROW EXECUTE FUNCTION record_device_change();

CREATE TRIGGER rollout_configurations_choose_stepping_stones BEFORE INSERT OR UPDATE OF firmware_version, device_model, stepping_stones, newest_release_id ON rollout_configurations FOR EACH ROW EXECUTE FUNCTION choose_stepping_stones();

CREATE TRIGGER rollout_configurations_void_approval_request AFTER UPDATE ON rollout_configurations FOR EACH ROW WHEN (old.* IS DISTINCT FROM new.*) EXECUTE FUNCTION void_approval_request();

CREATE TRIGGER rollout_configurations_canonical_model BEFORE INSERT OR UPDATE OF device_model ON rollout_configurations FOR EACH ROW WHEN (new.device_model <> lower(btrim(new.device_model))) EXECUTE FUNCTION normalize_model();

CREATE TRIGGER holds_record_begin AFTER INSERT ON holds FOR EACH ROW WHEN (new.began_at IS NOT NULL AND new.ended_at IS NULL) EXECUTE FUNCTION record_hold();

CREATE TRIGGER holds_record_change AFTER UPDATE OF began_at, ended_at ON holds FOR EACH ROW WHEN (old.ended_at IS NULL AND new.began_at IS NOT NULL AND (old.began_at IS NULL OR new.ended_at IS NOT NULL)) EXECUTE FUNCTION record_hold();

CREATE TRIGGER device_update_status_record_end AFTER UPDATE OF completed_at ON device_update_status FOR EACH ROW WHEN (old.completed_at IS NULL AND new.completed_at IS NOT NULL AND new.rollout_id IS NOT NULL) EXECUTE FUNCTION record_device_change();

CREATE TRIGGER device_update_status_record_delete AFTER DELETE ON device_update_status FOR EACH ROW WHEN (old.completed_at IS NULL AND old.rollout_id IS NOT NULL) EXECUTE FUNCTION record_device_change();

CREATE TRIGGER device_update_status_no_outcome_by_links BEFORE UPDATE ON device_update_status FOR EACH ROW WHEN (CURRENT_USER = 'paku_public'::name AND NOT ((new.status = ANY (ARRAY['sent', 'downloading', 'downloaded', 'installing'])) AND new.completed_at IS NULL AND old.completed_at IS NULL AND new.installed_at IS NULL AND new.booted_at IS NULL OR new.status = 'canceled' AND (old.status = ANY (ARRAY['pending', 'sent'])))) EXECUTE FUNCTION refuse_row();

CREATE TRIGGER device_update_status_count_insert AFTER INSERT ON device_update_status REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION count_new_updates();

CREATE TRIGGER device_update_status_count_update AFTER UPDATE ON device_update_status REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION count_changed_updates();

CREATE TRIGGER device_update_status_count_delete AFTER DELETE ON device_update_status REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION count_deleted_updates();

CREATE TRIGGER update_attempts_no_outcome_by_links BEFORE UPDATE ON update_attempts FOR EACH ROW WHEN (CURRENT_USER = 'paku_public'::name) EXECUTE FUNCTION refuse_row();

CREATE TRIGGER ota_events_only_own_types BEFORE INSERT ON ota_events FOR EACH ROW WHEN (CURRENT_USER = 'paku_public'::name AND (new.event_type <> ALL (ARRAY['fetch', 'device_provisioned'])) OR CURRENT_USER = 'paku_ingest'::name AND (new.event_type <> ALL (ARRAY['accepted', 'declined', 'progress', 'result', 'status'])) AND NOT (new.event_type = 'identity_accepted' AND (new.payload ->> 'by') = 'settings')) EXECUTE FUNCTION refuse_row();

CREATE TRIGGER ota_events_in_order BEFORE INSERT ON ota_events FOR EACH ROW WHEN (new.device_id IS NULL) EXECUTE FUNCTION keep_decisions_in_order();

CREATE TRIGGER ota_events_append_only BEFORE UPDATE ON ota_events FOR EACH ROW WHEN (old.rollout_id IS NOT NULL AND new.rollout_id IS DISTINCT FROM old.rollout_id OR old.update_id IS NOT NULL AND new.update_id IS DISTINCT FROM old.update_id OR old.attempt IS NOT NULL AND new.attempt IS DISTINCT FROM old.attempt OR old.published_at IS NOT NULL AND new.published_at IS DISTINCT FROM old.published_at) EXECUTE FUNCTION refuse_row();

CREATE VIEW device_overview AS
 SELECT d.device_id,
    d.mac_address,
    d.device_model,
    d.current_firmware_version,
    d.last_seen,
    d.registered_at,
    d.uptime_seconds,
    d.signal_strength_dbm,
    d.metadata,
    u.update_id,
    u.rollout_name,
    u.firmware_version AS update_version,
    u.status AS update_status,
    u.reason AS update_reason,
    u.progress_percent,
    u.completed_at IS NULL AND u.update_id IS NOT NULL AS is_updating,
    d.revoked_at,
    d.revoked_reason,
    d.revoked_by,
    d.reported_model,
    d.reported_mac,
    d.identity_changed_at,
    d.model_is_assumed
   FROM devices d
     LEFT JOIN LATERAL ( SELECT o.id AS update_id,
            r.name AS rollout_name,
            o.firmware_version,
            o.status,
            o.error_message AS reason,
            o.progress_percent,
            o.completed_at
           FROM device_update_status o
             LEFT JOIN rollout_configurations r ON r.id = o.rollout_id
          WHERE o.device_id = d.device_id
          ORDER BY o.id DESC
         LIMIT 1) u ON true;

CREATE VIEW update_overview AS
 SELECT u.id AS update_id,
    u.device_id,
    d.device_model,
    d.current_firmware_version,
    u.rollout_id,
    r.name AS rollout_name,
    u.firmware_version,
    u.previous_version,
    u.is_stepping_stone,
    u.status,
    u.stage,
    u.attempt,
    u.sends,
    u.progress_percent,
    u.result_code,
    u.error_message AS reason,
    u.created_at,
    u.sent_at,
    u.acknowledged_at,
    u.installed_at,
    u.booted_at,
    u.reported_at,
    u.deadline_at,
    u.completed_at,
    u.unreachable_since,
    u.late_success_at,
    u.late_rollback_at,
    u.unverified_at,
    u.cause,
    u.is_reclaimable
   FROM device_update_status u
     JOIN devices d USING (device_id)
     LEFT JOIN rollout_configurations r ON r.id = u.rollout_id;

CREATE VIEW device_timeline AS
 SELECT e.device_id,
    e.received_at AS at,
    e.event_type AS event,
    e.rollout_id,
    e.update_id,
    e.attempt,
    NULL::text AS firmware_version,
    e.payload AS detail
   FROM ota_events e
  WHERE e.device_id IS NOT NULL
UNION ALL
 SELECT u.device_id,
    u.created_at AS at,
        CASE
            WHEN u.rollout_id IS NULL THEN 'began_by_itself'
            ELSE 'assigned'
        END AS event,
    u.rollout_id,
    u.id AS update_id,
    NULL::integer AS attempt,
    u.firmware_version,
    jsonb_build_object('stage', u.stage, 'isSteppingStone', u.is_stepping_stone) AS detail
   FROM device_update_status u
UNION ALL
 SELECT a.device_id,
    a.sent_at AS at,
    'sent' AS event,
    NULL::bigint AS rollout_id,
    a.update_id,
    a.attempt,
    a.version AS firmware_version,
    jsonb_build_object('family', a.command_family, 'delivery', a.delivery, 'outcome', a.send_result) AS detail
   FROM update_attempts a
  WHERE a.command_family IS NOT NULL
UNION ALL
 SELECT a.device_id,
    a.ended_at AS at,
    'attempt_ended' AS event,
    NULL::bigint AS rollout_id,
    a.update_id,
    a.attempt,
    a.version AS firmware_version,
    jsonb_build_object('status', a.status, 'resultCode', a.result_code, 'reason', a.reason) AS detail
   FROM update_attempts a
  WHERE a.ended_at IS NOT NULL
UNION ALL
 SELECT u.device_id,
    u.completed_at AS at,
    'ended' AS event,
    u.rollout_id,
    u.id AS update_id,
    u.attempt,
    u.firmware_version,
    jsonb_build_object('status', u.status, 'reason', u.error_message, 'cause', u.cause) AS detail
   FROM device_update_status u
  WHERE u.completed_at IS NOT NULL
UNION ALL
 SELECT u.device_id,
    u.late_success_at AS at,
    'late_success' AS event,
    u.rollout_id,
    u.id AS update_id,
    u.attempt,
    u.firmware_version,
    '{}' AS detail
   FROM device_update_status u
  WHERE u.late_success_at IS NOT NULL
UNION ALL
 SELECT u.device_id,
    u.late_rollback_at AS at,
    'late_rollback' AS event,
    u.rollout_id,
    u.id AS update_id,
    u.attempt,
    u.firmware_version,
    '{}' AS detail
   FROM device_update_status u
  WHERE u.late_rollback_at IS NOT NULL
UNION ALL
 SELECT u.device_id,
    u.unverified_at AS at,
    'unverified_bytes' AS event,
    u.rollout_id,
    u.id AS update_id,
    u.attempt,
    u.firmware_version,
    '{}' AS detail
   FROM device_update_status u
  WHERE u.unverified_at IS NOT NULL;

CREATE VIEW rollout_overview AS
 SELECT r.id AS rollout_id,
    r.name,
    r.firmware_version,
    r.device_model,
        CASE
            WHEN r.aborted_at IS NOT NULL THEN 'aborted'
            WHEN r.completed_at IS NOT NULL THEN 'completed'
            WHEN r.paused_at IS NOT NULL AND r.paused_by = 'orchestrator' THEN 'halted'
            WHEN r.paused_at IS NOT NULL THEN 'paused'
            WHEN NOT r.is_active AND c.devices > 0 THEN 'paused'
            WHEN NOT r.is_active THEN 'draft'
            WHEN r.start_at > now() OR (EXISTS ( SELECT
               FROM rollout_configurations a
              WHERE a.id = r.after_rollout_id AND a.completed_at IS NULL)) THEN 'scheduled'
            ELSE 'active'
        END AS state,
    r.created_at,
    r.created_by,
    r.updated_at,
    r.start_at,
    r.after_rollout_id,
    r.end_at,
    r.paused_at,
    r.paused_reason,
    r.paused_by,
    r.completed_at,
    r.aborted_at,
    q.action AS requested_action,
    s.stage,
    COALESCE(p.in_flight, 0) AS in_flight,
    c.devices,
    c.pending,
    c.in_progress,
    c.succeeded,
    c.failed,
    c.canceled
   FROM rollout_configurations r
     LEFT JOIN rollout_runtime p ON p.rollout_id = r.id
     LEFT JOIN rollout_stages s ON s.rollout_id = p.rollout_id AND s.stage = p.stage
     LEFT JOIN approval_requests q ON q.rollout_id = r.id
     CROSS JOIN LATERAL ( SELECT COALESCE(sum(u.updates), 0::numeric)::integer AS devices,
            COALESCE(sum(u.updates) FILTER (WHERE u.state = 'pending'), 0::numeric)::integer AS pending,
            COALESCE(sum(u.updates) FILTER (WHERE u.state = ANY (ARRAY['sent', 'downloading', 'downloaded', 'installing', 'on_probation'])), 0::numeric)::integer AS in_progress,
            COALESCE(sum(u.updates) FILTER (WHERE u.state = 'success'), 0::numeric)::integer AS succeeded,
            COALESCE(sum(u.updates) FILTER (WHERE u.state = ANY (ARRAY['failed', 'rolled_back', 'timed_out', 'late_success', 'late_rollback'])), 0::numeric)::integer AS failed,
            COALESCE(sum(u.updates) FILTER (WHERE u.state = 'canceled'), 0::numeric)::integer AS canceled
           FROM update_counts u
          WHERE u.rollout_id = r.id AND (NOT u.is_reclaimable OR u.state = 'canceled' AND (r.paused_at IS NOT NULL OR NOT r.is_active))) c;

CREATE VIEW rollout_timeline AS
 SELECT e.id AS event_id,
    e.rollout_id,
    r.name AS rollout_name,
    r.firmware_version,
    r.device_model,
    e.received_at AS at,
    e.event_type AS event,
    e.payload ->> 'reason' AS reason,
    e.payload ->> 'by' AS decided_by,
    e.payload AS detail
   FROM ota_events e
     JOIN rollout_configurations r ON r.id = e.rollout_id
  WHERE e.device_id IS NULL;

CREATE VIEW release_health AS
 SELECT c.device_model,
    c.firmware_version,
    c.devices,
    c.restarts + r.restarts AS restarts,
    t.hours AS device_hours,
    (c.restarts + r.restarts)::double precision / NULLIF(t.hours, 0::double precision) AS restarts_per_device_hour,
    r.heard_of,
    r.silent,
    r.silent::double precision / NULLIF(r.heard_of, 0)::double precision AS share_silent
   FROM ( SELECT version_counts.device_model,
            version_counts.firmware_version,
            sum(version_counts.devices)::integer AS devices,
            sum(version_counts.restarts)::bigint AS restarts,
            sum(version_counts.observed_seconds)::bigint AS seconds
           FROM version_counts
          GROUP BY version_counts.device_model, version_counts.firmware_version
         HAVING sum(version_counts.devices) > 0::numeric OR sum(version_counts.observed_seconds) > 0::numeric) c
     CROSS JOIN LATERAL ( SELECT COALESCE(sum(counted_restarts(s.restarts, s.uptime_seconds)), 0::bigint) AS restarts,
            COALESCE(sum(s.observed_seconds), 0::numeric)::bigint AS seconds,
            count(*) FILTER (WHERE s.was_heard)::integer AS heard_of,
            count(*) FILTER (WHERE s.was_heard AND s.last_seen < (now() - make_interval(secs => GREATEST(5::double precision * COALESCE(s.report_interval_seconds, 3600::real), 7200::double precision))))::integer AS silent
           FROM ( SELECT d.restarts,
                    d.uptime_seconds,
                    d.observed_seconds,
                    d.last_seen,
                    d.report_interval_seconds,
                    d.revoked_at IS NULL AND d.last_seen >= (now() - '7 days'::interval) AS was_heard
                   FROM devices d
                  WHERE d.device_model = c.device_model AND d.current_firmware_version >= c.firmware_version AND d.current_firmware_version <= c.firmware_version
                  ORDER BY d.device_model, d.current_firmware_version
                 LIMIT 10000) s) r
     CROSS JOIN LATERAL ( SELECT (c.seconds + r.seconds)::double precision / 3600.0::double precision AS hours) t;

GRANT SELECT, UPDATE (device_model, mac_address, reported_model, reported_mac, identity_changed_at, checked_certificate_id, command_family, family_asked_version, metadata, revoked_at, revoked_reason, revoked_by, model_received_at, family_received_at) ON devices TO paku_control;
GRANT SELECT (device_id, device_model, current_firmware_version, mac_address, reported_model, reported_mac, identity_changed_at, client_id, certificate_id, checked_certificate_id, command_family, online, last_seen, registered_at, uptime_seconds, signal_strength_dbm, report_interval_seconds, restarts, observed_seconds, last_status, status_fault, facts, fact_times, model_received_at, model_is_assumed, version_received_at, mac_received_at, family_received_at, reachability_received_at), INSERT (device_id, device_model, current_firmware_version, mac_address, reported_model, reported_mac, identity_changed_at, client_id, certificate_id, command_family, online, last_seen, registered_at, uptime_seconds, signal_strength_dbm, report_interval_seconds, restarts, observed_seconds, last_status, status_fault, facts, fact_times, model_received_at, version_received_at, mac_received_at, family_received_at, reachability_received_at), UPDATE (device_model, current_firmware_version, mac_address, reported_model, reported_mac, identity_changed_at, client_id, certificate_id, command_family, online, last_seen, registered_at, uptime_seconds, signal_strength_dbm, report_interval_seconds, restarts, observed_seconds, last_status, status_fault, facts, fact_times, model_received_at, version_received_at, mac_received_at, family_received_at, reachability_received_at) ON devices TO paku_ingest;
GRANT SELECT (device_id, device_model, identity_changed_at, revoked_at) ON devices TO paku_public;
GRANT SELECT, INSERT, DELETE ON device_groups TO paku_control;
GRANT SELECT (device_id, group_name) ON device_groups TO paku_ingest;
GRANT SELECT, DELETE ON device_changes TO paku_control;
GRANT SELECT, INSERT, UPDATE (is_signed, signing_key, signature_expires_at, manifest, manifest_signature, image, warnings, revoked_at, revoked_reason, revoked_by) ON firmware_releases TO paku_control;
GRANT SELECT (id, file_size) ON firmware_releases TO paku_ingest;
GRANT SELECT (id, device_model, object_key, file_size, signing_key, signature_expires_at, manifest, manifest_signature, revoked_at) ON firmware_releases TO paku_public;
GRANT SELECT, INSERT ON model_chips TO paku_control;
GRANT SELECT, INSERT, UPDATE, DELETE ON rejected_uploads TO paku_control;
GRANT SELECT, INSERT, UPDATE (object_version), DELETE ON upload_requests TO paku_control;
GRANT SELECT, INSERT, UPDATE ON rollout_configurations TO paku_control;
GRANT SELECT (id, target_filter, start_at, after_rollout_id, jitter_minutes, max_in_flight, max_in_flight_per, max_attempts, attempt_timeout_minutes, boot_timeout_minutes, probation_minutes, give_up_days, is_active, paused_at, completed_at, aborted_at) ON rollout_configurations TO paku_ingest;
GRANT SELECT (id, target_filter, max_attempts, attempt_timeout_minutes, boot_timeout_minutes, probation_minutes, is_active, paused_at, completed_at, aborted_at) ON rollout_configurations TO paku_public;
GRANT SELECT, INSERT, UPDATE, DELETE ON approval_requests TO paku_control;
GRANT SELECT, INSERT, UPDATE ON rollout_runtime TO paku_control;
GRANT SELECT (rollout_id, is_stopped, start_limit, started_count, finished_count, in_flight, sends_until), UPDATE (started_count, finished_count, in_flight) ON rollout_runtime TO paku_ingest;
GRANT SELECT (rollout_id, is_stopped, started_count, in_flight), UPDATE (started_count, in_flight) ON rollout_runtime TO paku_public;
GRANT SELECT, INSERT, UPDATE, DELETE ON rollout_stages TO paku_control;
GRANT SELECT, INSERT, DELETE ON rollout_members TO paku_control;
GRANT SELECT, INSERT, UPDATE (began_at, ended_at, ended_by, ended_reason), DELETE ON holds TO paku_control;
GRANT SELECT (scope, device_id, group_name, began_at, ended_at) ON holds TO paku_ingest;
GRANT SELECT, INSERT, UPDATE (fixed_version, fixed_at, fixed_by, withdrawn_at, withdrawn_by, withdrawn_reason) ON known_issues TO paku_control;
GRANT SELECT, INSERT, UPDATE, DELETE ON device_update_status TO paku_control;
GRANT SELECT (id, device_id, rollout_id, release_id, firmware_version, previous_version, failed_before, status, attempt, sends, result_code, error_message, cause, report_interval_seconds, restarts_per_hour, created_at, not_before, spread_at, next_family, next_delivery, unreachable_since, sent_at, started_at, acknowledged_at, reported_at, booted_at, completed_at, late_success_at, late_rollback_at, unverified_at, declined_count, evaluated_events, holds_slot, counts_as_started, is_counted, is_reclaimable), INSERT (device_id, firmware_version, previous_version, status, attempt, sent_at, started_at, reported_at, deadline_at), UPDATE (status, attempt, progress_percent, result_code, error_message, cause, unexpected_version, not_before, spread_at, enqueue_after, next_family, next_delivery, unreachable_since, sent_at, started_at, acknowledged_at, reported_at, installed_at, booted_at, deadline_at, completed_at, late_success_at, late_rollback_at, unverified_at, declined_count, evaluated_events, holds_slot, counts_as_started, is_counted) ON device_update_status TO paku_ingest;
GRANT SELECT (id, device_id, rollout_id, release_id, firmware_version, previous_version, status, attempt, sends, result_code, error_message, report_interval_seconds, restarts_per_hour, next_family, next_delivery, started_at, reported_at, booted_at, completed_at, declined_count, evaluated_events, holds_slot, counts_as_started), UPDATE (status, attempt, progress_percent, result_code, error_message, cause, unexpected_version, not_before, enqueue_after, next_family, next_delivery, unreachable_since, sent_at, started_at, acknowledged_at, reported_at, installed_at, booted_at, deadline_at, completed_at, evaluated_events, holds_slot, counts_as_started, is_reclaimable) ON device_update_status TO paku_public;
GRANT SELECT, INSERT, UPDATE, DELETE ON update_attempts TO paku_control;
GRANT SELECT (update_id, attempt, device_id, version, command_family, delivery, sent_at, send_result), INSERT (update_id, attempt, device_id, version, sent_at), UPDATE (ended_at, status, result_code, reason) ON update_attempts TO paku_ingest;
GRANT SELECT (update_id, attempt, device_id, version, command_family, delivery, sent_at, send_result), UPDATE (ended_at, status, result_code, reason) ON update_attempts TO paku_public;
GRANT SELECT, INSERT, UPDATE (published_at) ON ota_events TO paku_control;
GRANT SELECT (device_id, rollout_id, update_id, attempt, event_type, state, received_at, payload, payload_hash), INSERT (device_id, rollout_id, update_id, attempt, event_type, state, received_at, payload, payload_hash), UPDATE (rollout_id, update_id, attempt) ON ota_events TO paku_ingest;
GRANT SELECT (device_id, update_id, attempt, event_type, state, received_at, payload, payload_hash), INSERT (device_id, rollout_id, update_id, attempt, event_type, state, received_at, payload, payload_hash) ON ota_events TO paku_public;
GRANT SELECT, DELETE ON rejected_messages TO paku_control;
GRANT SELECT (topic, payload_sha256, received_at), INSERT (topic, device_id, client_id, reason, payload, payload_bytes, payload_sha256, received_at) ON rejected_messages TO paku_ingest;
GRANT SELECT ON refused_clients TO paku_control;
GRANT SELECT (client_id, reason, times, first_at, last_at), INSERT (client_id, reason, times, first_at, last_at), UPDATE (reason, times, first_at, last_at), DELETE ON refused_clients TO paku_ingest;
GRANT SELECT, INSERT, DELETE ON update_counts TO paku_control;
GRANT SELECT, INSERT, DELETE ON outcome_counts TO paku_control;
GRANT SELECT, INSERT, DELETE ON version_counts TO paku_control;
GRANT SELECT, INSERT, DELETE ON fleet_versions TO paku_control;
GRANT SELECT, INSERT, UPDATE, DELETE ON allowed_devices TO paku_control;
GRANT SELECT (device_id, device_model, mac_address) ON allowed_devices TO paku_ingest;
GRANT SELECT (device_id, provisioned_at, claim_certificate_id, certificates), UPDATE (provisioned_at, claim_certificate_id, certificates) ON allowed_devices TO paku_public;
GRANT SELECT, INSERT, UPDATE, DELETE ON leases TO paku_control;
GRANT SELECT, INSERT, UPDATE ON ingestion_progress TO paku_control;
GRANT SELECT (queue, processed_at, lag_seconds), INSERT (queue, processed_at, lag_seconds), UPDATE (processed_at, lag_seconds) ON ingestion_progress TO paku_ingest;
GRANT SELECT ON device_overview TO paku_control;
GRANT SELECT ON update_overview TO paku_control;
GRANT SELECT ON device_timeline TO paku_control;
GRANT SELECT ON rollout_overview TO paku_control;
GRANT SELECT ON rollout_timeline TO paku_control;
GRANT SELECT ON release_health TO paku_control;
GRANT SELECT ON schema_migrations TO paku_control;

REVOKE EXECUTE ON FUNCTION record_device_change() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION in_flight_by_value(text,boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION in_flight_by_value(text,boolean) TO paku_control;
REVOKE EXECUTE ON FUNCTION delete_old_events(timestamp with time zone,integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION delete_old_events(timestamp with time zone,integer) TO paku_control;
REVOKE EXECUTE ON FUNCTION record_identity_change() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION count_new_updates() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION count_changed_updates() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION count_deleted_updates() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION count_device_version() FROM PUBLIC;

DO $$
BEGIN
  EXECUTE format('ALTER DATABASE %I SET jit = off', current_database());
END
$$;

DO $$
BEGIN
  EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
END
$$;
