-- The schema of paku-ota. PostgreSQL 15 features only.
--
-- In the order of the domain: devices and groups, releases and uploads, rollouts, holds, known issues, device updates, events and messages,
-- counters, identity, leases, views, grants. docs/data-model.md shows the same as tables and a diagram; both that page
-- and current.sql are made from the comments and definitions here (npm run gen:schema).
--
-- The comments of a table are set in one DO block: each statement of a migration is one call of the Data API.
-- No line of a statement but its last ends with a semicolon, except between dollar quotes.

-- Devices and groups ----------------------------------------------------------------------------------------------------

-- A fifth of each page is left free, so that heartbeats stay heap-only (HOT) updates.
CREATE TABLE devices (
  device_id                text        PRIMARY KEY,
  device_model             text        NOT NULL DEFAULT 'esp32-s3',
  current_firmware_version text        NOT NULL DEFAULT 'unknown',
  mac_address              text,
  reported_model           text,
  reported_mac             text,
  identity_changed_at      timestamptz,
  client_id                text,
  certificate_id           text,
  checked_certificate_id   text,
  certificate_is_new       boolean     NOT NULL GENERATED ALWAYS AS (certificate_id IS NOT NULL AND certificate_id IS DISTINCT FROM checked_certificate_id) STORED,
  command_family           text,
  family_asked_version     text,
  online                   boolean     NOT NULL DEFAULT false,
  last_seen                timestamptz,
  last_seen_day            date        GENERATED ALWAYS AS ((last_seen AT TIME ZONE 'UTC')::date) STORED,
  registered_at            timestamptz NOT NULL DEFAULT now(),
  uptime_seconds           bigint,
  signal_strength_dbm      integer,
  report_interval_seconds  real,
  restarts                 integer     NOT NULL DEFAULT 0,
  observed_seconds         bigint      NOT NULL DEFAULT 0,
  last_status              jsonb       NOT NULL DEFAULT '{}',
  status_fault             text,
  metadata                 jsonb       NOT NULL DEFAULT '{}',
  facts                    jsonb       NOT NULL DEFAULT '{}',
  fact_times               jsonb       NOT NULL DEFAULT '{}',
  revoked_at               timestamptz,
  revoked_reason           text,
  revoked_by               text,
  model_received_at        timestamptz,
  model_is_assumed         boolean     NOT NULL GENERATED ALWAYS AS (model_received_at IS NULL AND device_model = 'esp32-s3') STORED,
  version_received_at      timestamptz,
  mac_received_at          timestamptz,
  family_received_at       timestamptz,
  reachability_received_at timestamptz,
  CONSTRAINT devices_device_id_check CHECK (device_id ~ '^[A-Za-z0-9_:-]{1,64}$'),
  CONSTRAINT devices_mac_address_check CHECK (mac_address ~ '^([0-9A-F]{2}:){5}[0-9A-F]{2}$'),
  CONSTRAINT devices_reported_mac_check CHECK (reported_mac ~ '^([0-9A-F]{2}:){5}[0-9A-F]{2}$'),
  CONSTRAINT devices_identity_changed_check CHECK (
    (identity_changed_at IS NULL) = (reported_model IS NULL AND reported_mac IS NULL)),
  CONSTRAINT devices_command_family_check CHECK (command_family IN ('devices', 'edge'))
) WITH (fillfactor = 80);

DO $$ BEGIN
  COMMENT ON TABLE devices IS 'Devices, registered by their first message. Each field of a message is stored with its receive time, so that an older message never overwrites a newer one, in whatever order the two are processed.';
  COMMENT ON COLUMN devices.device_id IS 'Id of the device in its MQTT topics; also its thing name in AWS IoT.';
  COMMENT ON COLUMN devices.device_model IS 'Model of the device, in lower case: that of its entry in allowed_devices, otherwise the first that it reported, or the last that an operator accepted or stated. esp32-s3 until then: it is assumed.';
  COMMENT ON COLUMN devices.current_firmware_version IS 'Version that the device last reported; unknown until it reports one.';
  COMMENT ON COLUMN devices.mac_address IS 'MAC address of the device, in upper case with colons: that of its entry in allowed_devices, otherwise the first that it reported, or the last that an operator accepted.';
  COMMENT ON COLUMN devices.reported_model IS 'Model that the device last reported, if it differs from device_model; else null.';
  COMMENT ON COLUMN devices.reported_mac IS 'MAC address that the device last reported, if it differs from mac_address; else null.';
  COMMENT ON COLUMN devices.identity_changed_at IS 'Receive time of the status since which the device has reported another model or MAC address. No rollout targets it until an operator accepts the change. Null: it reports what is stored.';
  COMMENT ON COLUMN devices.client_id IS 'MQTT client id that the device was last seen with; commands are addressed to it. Null: the device id is used.';
  COMMENT ON COLUMN devices.certificate_id IS 'Id of the certificate with which the newest status was published, as AWS IoT states it; while another one remains to be checked, that one. Null: not known.';
  COMMENT ON COLUMN devices.checked_certificate_id IS 'Value of certificate_id for which the older certificates of the device were last revoked. Null: never.';
  COMMENT ON COLUMN devices.certificate_is_new IS 'True if the older certificates of the device remain to be revoked. It is generated, so that a status with the same certificate changes no index.';
  COMMENT ON COLUMN devices.command_family IS 'Topic family (devices or edge) of the newest OTA report, or the one that the device subscribes to; commands are published there. Null: the default of the deployment.';
  COMMENT ON COLUMN devices.family_asked_version IS 'Version that the device ran when AWS IoT last named its subscriptions. It is asked once before the first command, and once after the version changed.';
  COMMENT ON COLUMN devices.online IS 'True if the newest message about the connection of the device is a status; false if it is a last will. Whether the device is online follows from it and presumed_offline_at.';
  COMMENT ON COLUMN devices.last_seen IS 'Receive time of the newest status of the device; a last will does not count. About an hour old at most while the service is in idle mode.';
  COMMENT ON COLUMN devices.last_seen_day IS 'Day of last_seen in UTC. It is indexed in place of last_seen, so that a heartbeat changes no index.';
  COMMENT ON COLUMN devices.registered_at IS 'Receive time of the oldest message of the device.';
  COMMENT ON COLUMN devices.uptime_seconds IS 'Uptime in the newest status; null if that has none.';
  COMMENT ON COLUMN devices.signal_strength_dbm IS 'Wi-Fi signal strength in the newest status; null if that has none.';
  COMMENT ON COLUMN devices.report_interval_seconds IS 'Usual time between two statuses, a running estimate. Null before the second status. Silence is measured by it.';
  COMMENT ON COLUMN devices.restarts IS 'Restarts that statuses have shown since the device first reported its present version: an uptime that began again, or without an uptime a status after less than half the usual time.';
  COMMENT ON COLUMN devices.observed_seconds IS 'Time between the first and the newest status with the present version. Restarts are a rate over it.';
  COMMENT ON COLUMN devices.last_status IS 'Newest status as the device sent it; empty if it has more than 8 KiB.';
  COMMENT ON COLUMN devices.status_fault IS 'What could not be read of the newest status, and at which character; null if it was read whole.';
  COMMENT ON COLUMN devices.metadata IS 'Attributes, set by operators: an object of texts, numbers and booleans. Rollouts can select devices by them.';
  COMMENT ON COLUMN devices.facts IS 'What the device states about itself, such as slot_bytes or battery_percent: an object of texts, numbers and booleans, each from the newest message that stated it. Rollouts can select devices by them.';
  COMMENT ON COLUMN devices.fact_times IS 'Receive time of the message that each fact comes from, in milliseconds since 1970, by the name of the fact.';
  COMMENT ON COLUMN devices.revoked_at IS 'When the identity of the device was revoked. A revoked device cannot connect and no rollout targets it.';
  COMMENT ON COLUMN devices.revoked_reason IS 'Why the identity was revoked.';
  COMMENT ON COLUMN devices.revoked_by IS 'Who revoked the identity.';
  COMMENT ON COLUMN devices.model_received_at IS 'Receive time of the newest message that stated a model, or when the model was stated otherwise: by an operator, by the settings, or by the entry of the device in allowed_devices. Null: nobody has stated it, unless SQL set another one than the default.';
  COMMENT ON COLUMN devices.model_is_assumed IS 'True if the model was never stated, so that device_model is the default. Only rollouts that name such a device by its id target it. It is generated, so that a status that repeats the model changes no index.';
  COMMENT ON COLUMN devices.version_received_at IS 'Receive time of the message that current_firmware_version comes from.';
  COMMENT ON COLUMN devices.mac_received_at IS 'Receive time of the newest message that stated a MAC address.';
  COMMENT ON COLUMN devices.family_received_at IS 'Receive time of the message that command_family comes from.';
  COMMENT ON COLUMN devices.reachability_received_at IS 'Receive time of the message that online and client_id come from.';
END $$;

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

DO $$ BEGIN
  COMMENT ON INDEX devices_model_version_idx IS 'Read by the orchestrator (versions in use on a model) and by lists of devices.';
  COMMENT ON INDEX devices_scan_idx IS 'Read by the scan of a rollout, which goes through the devices of a model in the order of the bytes of their ids.';
  COMMENT ON INDEX devices_revoked_idx IS 'Read by the orchestrator, which cancels the updates of revoked devices, by the overview and by lists of devices.';
  COMMENT ON INDEX devices_identity_changed_idx IS 'Read by the overview: devices whose changed identity waits for an operator.';
  COMMENT ON INDEX devices_model_assumed_idx IS 'Read by the overview: devices whose model was never stated.';
  COMMENT ON INDEX devices_certificate_new_idx IS 'Read by the orchestrator: devices whose older certificates remain to be revoked.';
  COMMENT ON INDEX devices_mac_address_idx IS 'Read by rollouts that target devices by MAC address.';
  COMMENT ON INDEX devices_id_search_idx IS 'Read by the search for the beginning of a device id.';
  COMMENT ON INDEX devices_suffix_search_idx IS 'Read by the search for the beginning of what follows the last hyphen of a device id.';
  COMMENT ON INDEX devices_metadata_idx IS 'Read by lists of devices with an attribute. Facts have no such index: they change with heartbeats, which change no index.';
  COMMENT ON INDEX devices_mac_search_idx IS 'Read by the search for the beginning of a MAC address.';
  COMMENT ON INDEX devices_last_seen_day_idx IS 'Read by lists of devices that were not seen since a time.';
END $$;

CREATE TABLE device_groups (
  device_id  text NOT NULL REFERENCES devices ON DELETE CASCADE,
  group_name text NOT NULL,
  PRIMARY KEY (group_name, device_id)
);

CREATE INDEX device_groups_device_idx ON device_groups (device_id);

DO $$ BEGIN
  COMMENT ON TABLE device_groups IS 'Which devices are in which groups. A group exists while a device is in it.';
  COMMENT ON COLUMN device_groups.device_id IS 'The device.';
  COMMENT ON COLUMN device_groups.group_name IS 'Name of the group, as in the groups of a target filter.';
  COMMENT ON INDEX device_groups_device_idx IS 'Read by pages of devices (groups of each device) and by the target filters of rollouts.';
END $$;

CREATE TABLE device_changes (
  device_id  text NOT NULL,
  changed_in xid8 NOT NULL DEFAULT pg_current_xact_id()
);

CREATE INDEX device_changes_changed_in_idx ON device_changes (changed_in);

DO $$ BEGIN
  COMMENT ON TABLE device_changes IS 'Changes that decide whether a rollout may assign a device, written by triggers. A rollout that has scanned all devices reads these only. The orchestrator deletes what every running rollout has read.';
  COMMENT ON COLUMN device_changes.device_id IS 'The device that changed; it may have been deleted since.';
  COMMENT ON COLUMN device_changes.changed_in IS 'Transaction that made the change. If a snapshot does not see that transaction, its number is not below the xmin of the snapshot, so no change is missed, in whatever order transactions commit.';
  COMMENT ON INDEX device_changes_changed_in_idx IS 'Read by the orchestrator for the changes since a transaction.';
END $$;

-- Releases and uploads --------------------------------------------------------------------------------------------------

CREATE TABLE firmware_releases (
  id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  version         text        NOT NULL,
  device_model    text        NOT NULL,
  object_key      text        NOT NULL,
  file_size       bigint      NOT NULL,
  checksum_sha256 text        NOT NULL,
  uploaded_key    text,
  requested_by    text,
  put_by          text,
  put_from        text,
  chip            text        NOT NULL,
  project_name    text,
  app_version     text,
  min_version     text,
  changelog       text,
  release_notes   text,
  is_signed       boolean     NOT NULL DEFAULT false,
  signing_key     text,
  signature_expires_at timestamptz,
  manifest        text,
  manifest_signature text,
  image           jsonb       NOT NULL DEFAULT '{}',
  warnings        jsonb       NOT NULL DEFAULT '[]',
  created_at      timestamptz NOT NULL DEFAULT now(),
  revoked_at      timestamptz,
  revoked_reason  text,
  revoked_by      text,
  CONSTRAINT firmware_releases_model_version_key UNIQUE (device_model, version),
  CONSTRAINT firmware_releases_checksum_check CHECK (checksum_sha256 ~ '^[0-9a-f]{64}$')
);

CREATE UNIQUE INDEX firmware_releases_spelling_idx ON firmware_releases (device_model, ltrim(version, 'vV'));

DO $$ BEGIN
  COMMENT ON INDEX firmware_releases_spelling_idx IS 'A leading v makes no other version. Read by the registration, which asks whether a version is registered in any spelling.';
  COMMENT ON TABLE firmware_releases IS 'Verified images. A release never changes, except that its signature may come later and that it may be revoked.';
  COMMENT ON COLUMN firmware_releases.id IS 'Id of the release.';
  COMMENT ON COLUMN firmware_releases.version IS 'Version by which it is rolled out, from the key of the upload.';
  COMMENT ON COLUMN firmware_releases.device_model IS 'Model that it is for, from the key of the upload.';
  COMMENT ON COLUMN firmware_releases.object_key IS 'Key of the verified copy in the bucket, named by its SHA-256; devices download this object.';
  COMMENT ON COLUMN firmware_releases.file_size IS 'Size of the image in bytes.';
  COMMENT ON COLUMN firmware_releases.checksum_sha256 IS 'SHA-256 of the image, in lower-case hex; it is part of each command.';
  COMMENT ON COLUMN firmware_releases.uploaded_key IS 'Key under which the image was uploaded.';
  COMMENT ON COLUMN firmware_releases.requested_by IS 'IAM ARN of the caller of the API who asked for this upload. Null: the image was put into S3 without the API.';
  COMMENT ON COLUMN firmware_releases.put_by IS 'AWS account, or AWS service, that put the image into S3, as S3 says. Null: not known.';
  COMMENT ON COLUMN firmware_releases.put_from IS 'IP address from which the image was put into S3, as S3 says. Null: not known.';
  COMMENT ON COLUMN firmware_releases.chip IS 'Chip that the image is built for, from its header.';
  COMMENT ON COLUMN firmware_releases.project_name IS 'Project name in the application descriptor; null if the image has none.';
  COMMENT ON COLUMN firmware_releases.app_version IS 'Version in the application descriptor; null if the image has none. A device reports this version.';
  COMMENT ON COLUMN firmware_releases.min_version IS 'Oldest version that is updated to this release directly; older ones go by way of stepping stones. Null: any version.';
  COMMENT ON COLUMN firmware_releases.changelog IS 'Changelog that came with the upload.';
  COMMENT ON COLUMN firmware_releases.release_notes IS 'Release notes that came with the upload.';
  COMMENT ON COLUMN firmware_releases.is_signed IS 'True if a trusted key signed the release: its manifest, or the image for secure boot.';
  COMMENT ON COLUMN firmware_releases.signing_key IS 'Digest of the key that signed it, in hex. Where signatures are required, the release is sent only while the settings trust this key. Null: no trusted key signed it.';
  COMMENT ON COLUMN firmware_releases.signature_expires_at IS 'From then on the signature does not hold. Null: it has no end.';
  COMMENT ON COLUMN firmware_releases.manifest IS 'The signed text that names the release; null if it has no manifest. Download links answer with it.';
  COMMENT ON COLUMN firmware_releases.manifest_signature IS 'Signature of the manifest, in base64.';
  COMMENT ON COLUMN firmware_releases.image IS 'What was read from the image, and which trusted key signed it.';
  COMMENT ON COLUMN firmware_releases.warnings IS 'Findings that do not speak against a release, as an array of code and message.';
  COMMENT ON COLUMN firmware_releases.created_at IS 'When it was registered.';
  COMMENT ON COLUMN firmware_releases.revoked_at IS 'When it was revoked: it is not sent any more, its download links end, and its rollouts halt.';
  COMMENT ON COLUMN firmware_releases.revoked_reason IS 'Why it was revoked.';
  COMMENT ON COLUMN firmware_releases.revoked_by IS 'Who revoked it.';
END $$;

CREATE TABLE model_chips (
  device_model text PRIMARY KEY,
  chip         text NOT NULL
);

DO $$ BEGIN
  COMMENT ON TABLE model_chips IS 'Chip of each model, set by its first registered release. It decides where neither the settings nor the name of the model name a chip.';
  COMMENT ON COLUMN model_chips.device_model IS 'The model.';
  COMMENT ON COLUMN model_chips.chip IS 'Chip of the first image that was registered for the model.';
END $$;

CREATE TABLE rejected_uploads (
  id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  object_key     text        NOT NULL,
  object_version text        NOT NULL,
  file_size      bigint      NOT NULL,
  verdict        text        NOT NULL,
  message        text        NOT NULL,
  image          jsonb       NOT NULL DEFAULT '{}',
  uploaded_at    timestamptz NOT NULL,
  requested_by   text,
  put_by         text,
  put_from       text,
  CONSTRAINT rejected_uploads_object_version_key UNIQUE (object_key, object_version)
);

DO $$ BEGIN
  COMMENT ON TABLE rejected_uploads IS 'Uploads that did not become a release, each with the reason. The object stays in the bucket.';
  COMMENT ON COLUMN rejected_uploads.id IS 'Order of rejection; pages of the list go by it.';
  COMMENT ON COLUMN rejected_uploads.object_key IS 'Key of the upload in the bucket.';
  COMMENT ON COLUMN rejected_uploads.object_version IS 'Which object of that key it was.';
  COMMENT ON COLUMN rejected_uploads.file_size IS 'Size of the object in bytes.';
  COMMENT ON COLUMN rejected_uploads.verdict IS 'Code of the reason.';
  COMMENT ON COLUMN rejected_uploads.message IS 'The reason as a sentence.';
  COMMENT ON COLUMN rejected_uploads.image IS 'What was read from the image; empty if nothing was.';
  COMMENT ON COLUMN rejected_uploads.uploaded_at IS 'When the object was created.';
  COMMENT ON COLUMN rejected_uploads.requested_by IS 'IAM ARN of the caller of the API who asked for this upload. Null: the object was put into S3 without the API.';
  COMMENT ON COLUMN rejected_uploads.put_by IS 'AWS account, or AWS service, that put the object into S3, as S3 says. Null: not known.';
  COMMENT ON COLUMN rejected_uploads.put_from IS 'IP address from which the object was put into S3, as S3 says. Null: not known.';
END $$;

CREATE TABLE upload_requests (
  token          text        PRIMARY KEY,
  object_key     text        NOT NULL,
  requested_by   text        NOT NULL,
  requested_at   timestamptz NOT NULL,
  object_version text
);

DO $$ BEGIN
  COMMENT ON TABLE upload_requests IS 'Who asked the API for the URL of an upload. The URL makes the token metadata of the object, by which the upload is matched with its request.';
  COMMENT ON COLUMN upload_requests.token IS 'Random text that the object has as metadata.';
  COMMENT ON COLUMN upload_requests.object_key IS 'Key that the URL is for. At another key the token has no requester.';
  COMMENT ON COLUMN upload_requests.requested_by IS 'IAM ARN of the caller.';
  COMMENT ON COLUMN upload_requests.requested_at IS 'When the URL was given out. Housekeeping deletes old requests.';
  COMMENT ON COLUMN upload_requests.object_version IS 'The object version that was verified with the token first. For another one the token has no requester. Null: not verified yet.';
END $$;

-- Rollouts --------------------------------------------------------------------------------------------------------------

-- Each default is a careful one, so that an INSERT that names only a version makes a complete rollout.
CREATE TABLE rollout_configurations (
  id                      bigint           GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name                    text             NOT NULL,
  firmware_version        text             NOT NULL,
  device_model            text             NOT NULL DEFAULT 'esp32-s3',
  target_type             text             NOT NULL DEFAULT 'all',
  target_filter           jsonb            NOT NULL DEFAULT '{}',
  rollout_percentage      integer          NOT NULL DEFAULT 100,
  target_hash_cutoff      text,
  member_percentage       integer,
  counted_at              timestamptz,
  allow_downgrade         boolean          NOT NULL DEFAULT false,
  include_unknown         boolean          NOT NULL DEFAULT false,
  stepping_stones         jsonb,
  newest_release_id       bigint           NOT NULL DEFAULT 0,
  priority                integer          NOT NULL DEFAULT 0,
  keep_open               boolean          NOT NULL DEFAULT false,
  start_at                timestamptz,
  after_rollout_id        bigint           REFERENCES rollout_configurations,
  end_at                  timestamptz,
  send_window             jsonb,
  jitter_minutes          integer          NOT NULL DEFAULT 0,
  stages                  jsonb,
  failure_threshold       double precision NOT NULL DEFAULT 0.10,
  failure_count           integer,
  max_restart_ratio       double precision DEFAULT 2,
  min_reports             integer          NOT NULL DEFAULT 5,
  max_in_flight           integer,
  max_in_flight_per       jsonb,
  first_stage_covers      jsonb,
  max_per_minute          integer,
  max_attempts            integer          NOT NULL DEFAULT 3,
  attempt_timeout_minutes integer          NOT NULL DEFAULT 15,
  boot_timeout_minutes    integer          NOT NULL DEFAULT 15,
  probation_minutes       integer          NOT NULL DEFAULT 5,
  give_up_days            integer          NOT NULL DEFAULT 30,
  is_active               boolean          NOT NULL DEFAULT true,
  paused_at               timestamptz,
  paused_reason           text,
  paused_by               text,
  completed_at            timestamptz,
  aborted_at              timestamptz,
  approved_content        jsonb,
  approved_targets        integer,
  approved_at             timestamptz,
  created_at              timestamptz      NOT NULL DEFAULT now(),
  created_by              text,
  updated_at              timestamptz      NOT NULL DEFAULT now(),
  CONSTRAINT rollout_configurations_name_key UNIQUE (name),
  CONSTRAINT rollout_configurations_target_type_check CHECK (target_type IN ('all', 'group', 'canary', 'specific')),
  CONSTRAINT rollout_configurations_name_check CHECK (length(name) <= 255 AND name ~ '[^0-9]'),
  CONSTRAINT rollout_configurations_text_check CHECK (length(firmware_version) BETWEEN 1 AND 64
    AND length(device_model) BETWEEN 1 AND 64 AND length(paused_reason) <= 2000 AND length(paused_by) <= 256
    AND length(created_by) <= 256),
  CONSTRAINT rollout_configurations_approved_check CHECK (jsonb_typeof(approved_content) = 'object' AND approved_targets >= 0
    AND approved_at BETWEEN '2000-01-01' AND '2200-01-01'),
  CONSTRAINT rollout_configurations_percentage_check CHECK (rollout_percentage BETWEEN 1 AND 100
    AND member_percentage BETWEEN 0 AND 100 AND target_hash_cutoff ~ '^[0-9a-f]{32}$'),
  -- Rollouts cannot wait for each other.
  CONSTRAINT rollout_configurations_after_check CHECK (after_rollout_id < id),
  -- Also refuses infinity, which no program can show.
  CONSTRAINT rollout_configurations_times_check CHECK (start_at BETWEEN '2000-01-01' AND '2200-01-01'
    AND end_at BETWEEN '2000-01-01' AND '2200-01-01'
    AND paused_at BETWEEN '2000-01-01' AND '2200-01-01' AND completed_at BETWEEN '2000-01-01' AND '2200-01-01'
    AND aborted_at BETWEEN '2000-01-01' AND '2200-01-01' AND created_at BETWEEN '2000-01-01' AND '2200-01-01'
    AND updated_at BETWEEN '2000-01-01' AND '2200-01-01' AND counted_at BETWEEN '2000-01-01' AND '2200-01-01'),
  CONSTRAINT rollout_configurations_gate_check CHECK (failure_threshold BETWEEN 0 AND 1 AND failure_count > 0
    AND max_restart_ratio BETWEEN 1 AND 1000
    AND min_reports > 0 AND max_attempts BETWEEN 1 AND 20 AND jitter_minutes BETWEEN 0 AND 1440),
  CONSTRAINT rollout_configurations_limits_check CHECK (
    attempt_timeout_minutes BETWEEN 1 AND 1440 AND boot_timeout_minutes BETWEEN 1 AND 1440
    AND probation_minutes BETWEEN 0 AND 1440 AND give_up_days BETWEEN 1 AND 365 AND max_in_flight > 0 AND max_per_minute > 0),
  -- Dispatch reads it without a check of its own.
  CONSTRAINT rollout_configurations_in_flight_per_check CHECK (max_in_flight_per IS NULL OR coalesce(
    CASE WHEN jsonb_typeof(max_in_flight_per) = 'object' THEN max_in_flight_per - 'attribute' - 'max' = '{}'
      AND jsonb_typeof(max_in_flight_per -> 'attribute') = 'string' AND length(max_in_flight_per ->> 'attribute') BETWEEN 1 AND 64
      AND jsonb_typeof(max_in_flight_per -> 'max') = 'number' AND max_in_flight_per ->> 'max' ~ '^[1-9][0-9]{0,5}$' END, false)),
  CONSTRAINT rollout_configurations_covers_check CHECK (first_stage_covers IS NULL OR coalesce(
    CASE WHEN jsonb_typeof(first_stage_covers) = 'array' THEN jsonb_array_length(first_stage_covers) BETWEEN 1 AND 3
      AND NOT jsonb_path_exists(first_stage_covers, '$[*] ? (@.type() != "string" || !(@ like_regex "^(version|(attributes|facts)[.].{1,64})$"))') END, false))
);

CREATE INDEX rollout_configurations_facts_idx ON rollout_configurations (id)
  WHERE is_active AND completed_at IS NULL AND aborted_at IS NULL
    AND coalesce(target_filter -> 'facts', target_filter -> 'except' -> 'facts') IS NOT NULL;

DO $$ BEGIN
  COMMENT ON TABLE rollout_configurations IS 'Rollouts: which version goes to which devices, how, and what became of the rollout. A row that is inserted by SQL is a complete rollout.';
  COMMENT ON COLUMN rollout_configurations.id IS 'Id of the rollout; higher ids are newer.';
  COMMENT ON COLUMN rollout_configurations.name IS 'Name by which people call it.';
  COMMENT ON COLUMN rollout_configurations.firmware_version IS 'Version that it brings. The rollout waits until a release of that version is registered.';
  COMMENT ON COLUMN rollout_configurations.device_model IS 'Model whose devices it targets.';
  COMMENT ON COLUMN rollout_configurations.target_type IS 'Which conditions target_filter must have: all none, group a group, specific device ids or MAC addresses, canary one of these or a percentage below 100.';
  COMMENT ON COLUMN rollout_configurations.target_filter IS 'Conditions that a targeted device meets, all of them: device_ids or mac_addresses, groups, models, versions, metadata, facts, recovers (devices that another rollout updated from one of these versions), except (conditions of which none may hold). A value of metadata or facts may be a list, of which one is enough. Empty: every device of the model.';
  COMMENT ON COLUMN rollout_configurations.rollout_percentage IS 'Percentage of the devices that meet the filter which is targeted, from 1. It can be raised later; lowering it changes nothing.';
  COMMENT ON COLUMN rollout_configurations.target_hash_cutoff IS 'Highest md5 of rollout id and device id that is targeted, of the devices that registered up to counted_at; it only rises. Null until a device meets the filter.';
  COMMENT ON COLUMN rollout_configurations.member_percentage IS 'Value of rollout_percentage that target_hash_cutoff was computed for. A device that registers after counted_at takes part with this probability.';
  COMMENT ON COLUMN rollout_configurations.counted_at IS 'When the last of the devices registered whose number target_hash_cutoff was computed from. Null: not computed yet.';
  COMMENT ON COLUMN rollout_configurations.allow_downgrade IS 'True if devices on a newer version are updated too.';
  COMMENT ON COLUMN rollout_configurations.include_unknown IS 'True if devices that have reported no version are updated too.';
  COMMENT ON COLUMN rollout_configurations.stepping_stones IS 'Versions of the releases that devices below the minimum version of the release go by way of. Null: not decided yet; the orchestrator proposes and stores them once the release is registered. Set to null again if firmware_version is changed.';
  COMMENT ON COLUMN rollout_configurations.newest_release_id IS 'Newest release when firmware_version and stepping_stones were chosen, set by a trigger: a release that was registered later is never a stepping stone.';
  COMMENT ON COLUMN rollout_configurations.priority IS 'Decides which of two rollouts gets a device: the higher one, of equals the newer one.';
  COMMENT ON COLUMN rollout_configurations.keep_open IS 'True if the rollout does not complete, but goes on to update devices that join later.';
  COMMENT ON COLUMN rollout_configurations.start_at IS 'When it starts. Null: at once. Set to a later time while it runs, nothing more is sent before then.';
  COMMENT ON COLUMN rollout_configurations.after_rollout_id IS 'An earlier rollout that must complete before this one sends anything. Null: none.';
  COMMENT ON COLUMN rollout_configurations.end_at IS 'The orchestrator aborts the rollout at this time if it is running or scheduled, otherwise once it is started or resumed. Null: it has no end date.';
  COMMENT ON COLUMN rollout_configurations.send_window IS 'Weekdays and times of day at which commands are sent, with a time zone. Null: at any time.';
  COMMENT ON COLUMN rollout_configurations.jitter_minutes IS 'The first commands are spread over this time after the assignment, and after a device is back in reach, by a hash of the device.';
  COMMENT ON COLUMN rollout_configurations.stages IS 'Array of stages, each with percentage, count or group, its gate (soak_minutes, min_success_rate, min_reports) and until, if a person must advance it; the devices that remain follow after the last. Null: a slow start, whose waves double by themselves. Empty: all devices at once.';
  COMMENT ON COLUMN rollout_configurations.failure_threshold IS 'Share of failures, from 0 to 1, above which the rollout halts. A stage without min_success_rate demands 1 minus this.';
  COMMENT ON COLUMN rollout_configurations.failure_count IS 'Number of failures at which the rollout halts, whatever their share. Null: no limit.';
  COMMENT ON COLUMN rollout_configurations.max_restart_ratio IS 'How many times as often as before devices on the new version may restart; beyond that, with confidence, the rollout halts. Null: restarts do not halt it.';
  COMMENT ON COLUMN rollout_configurations.min_reports IS 'Outcomes that must be in before failure_threshold applies and a slow start grows; fewer if fewer devices are expected. A stage can demand its own number.';
  COMMENT ON COLUMN rollout_configurations.max_in_flight_per IS 'An attribute and a number: of the devices with the same value of the attribute, at most so many are sent an update of this rollout while updates are in flight, those of every rollout counted. Null: no such limit.';
  COMMENT ON COLUMN rollout_configurations.first_stage_covers IS 'Names, up to three, each version, attributes.X or facts.X: the first stage that is not of a group takes a device with each value that the targeted devices have of them before other devices. Null: its devices are chosen by their hashes alone.';
  COMMENT ON COLUMN rollout_configurations.max_in_flight IS 'Most updates at a time that were sent and have not ended. Null: no limit.';
  COMMENT ON COLUMN rollout_configurations.max_per_minute IS 'Most commands in a minute. Null: no limit.';
  COMMENT ON COLUMN rollout_configurations.max_attempts IS 'Most attempts for one device.';
  COMMENT ON COLUMN rollout_configurations.attempt_timeout_minutes IS 'An attempt times out after this time without a report.';
  COMMENT ON COLUMN rollout_configurations.boot_timeout_minutes IS 'A device must report the new version within this time after it has installed the image, or within the time of five of its usual reports, whichever is longer.';
  COMMENT ON COLUMN rollout_configurations.probation_minutes IS 'A device must keep running the new version for this time before its update is proven.';
  COMMENT ON COLUMN rollout_configurations.give_up_days IS 'A pending update is given up this long after its assignment.';
  COMMENT ON COLUMN rollout_configurations.is_active IS 'False for a draft and for an aborted rollout. Set to false by SQL, it pauses a rollout that has begun.';
  COMMENT ON COLUMN rollout_configurations.paused_at IS 'When it was halted or paused, or else aborted. Null: it is not stopped.';
  COMMENT ON COLUMN rollout_configurations.paused_reason IS 'Why it was halted, paused or aborted.';
  COMMENT ON COLUMN rollout_configurations.paused_by IS 'Who stopped it: orchestrator if it was halted, else the identity of an operator. Null if SQL set paused_at alone.';
  COMMENT ON COLUMN rollout_configurations.completed_at IS 'When it completed: no update was open and no device was left to assign. Set by SQL, it ends the rollout.';
  COMMENT ON COLUMN rollout_configurations.aborted_at IS 'When an operator stopped it for good. Set by SQL, it stops the rollout.';
  COMMENT ON COLUMN rollout_configurations.approved_content IS 'What it sends and to which devices, as it was when it was started or resumed: by two persons where requireApproval is set. Null: not started, started by SQL, or stopped or completed since. Where requireApproval is set, a rollout whose content is another one halts.';
  COMMENT ON COLUMN rollout_configurations.approved_targets IS 'How many devices it targeted when a second person approved it: it halts before it sends to more of the devices that had registered by then. Null: no limit.';
  COMMENT ON COLUMN rollout_configurations.approved_at IS 'When the start or resumption was requested that a second person approved; approved_targets is of then.';
  COMMENT ON COLUMN rollout_configurations.created_at IS 'When it was created.';
  COMMENT ON COLUMN rollout_configurations.created_by IS 'Identity of the operator who created it. Null: it was inserted by SQL.';
  COMMENT ON COLUMN rollout_configurations.updated_at IS 'When it was last changed or decided about. Whoever changes it names the value that was read, so that no change is lost.';
  COMMENT ON INDEX rollout_configurations_facts_idx IS 'Read by the trigger of changed facts and by idle mode: active rollouts that select devices by facts, which are few.';
END $$;

-- Requests that wait for a second person. One that is decided is deleted; its events stay.
CREATE TABLE approval_requests (
  id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  rollout_id   bigint      NOT NULL REFERENCES rollout_configurations ON DELETE CASCADE,
  action       text        NOT NULL,
  content      jsonb       NOT NULL,
  devices      integer     NOT NULL,
  targets      integer     NOT NULL,
  reason       text,
  requested_by text        NOT NULL,
  requested_at timestamptz NOT NULL,
  CONSTRAINT approval_requests_rollout_key UNIQUE (rollout_id),
  CONSTRAINT approval_requests_action_check CHECK (action IN ('start', 'resume', 'retry', 'advance')),
  CONSTRAINT approval_requests_devices_check CHECK (devices >= 0 AND targets >= 0),
  CONSTRAINT approval_requests_text_check CHECK (length(reason) <= 500 AND length(requested_by) <= 256),
  CONSTRAINT approval_requests_times_check CHECK (requested_at BETWEEN '2000-01-01' AND '2200-01-01')
);

DO $$ BEGIN
  COMMENT ON TABLE approval_requests IS 'Starts, resumptions, retries and next stages of rollouts that wait for the approval of a second person (requireApproval). Any change of its rollout deletes a request.';
  COMMENT ON COLUMN approval_requests.id IS 'Id of the request; an approval names it, so that it approves what was read.';
  COMMENT ON COLUMN approval_requests.rollout_id IS 'Rollout that waits.';
  COMMENT ON COLUMN approval_requests.action IS 'What is done once it is approved: start, resume, retry or advance.';
  COMMENT ON COLUMN approval_requests.content IS 'What the rollout sends and to which devices, as it was requested. Another content cannot be approved by it.';
  COMMENT ON COLUMN approval_requests.devices IS 'How many devices the action would send to when it was requested.';
  COMMENT ON COLUMN approval_requests.targets IS 'How many devices the rollout targeted when it was requested.';
  COMMENT ON COLUMN approval_requests.reason IS 'Reason that was given. Null: none.';
  COMMENT ON COLUMN approval_requests.requested_by IS 'Identity of the operator who requested it, and who cannot approve it.';
  COMMENT ON COLUMN approval_requests.requested_at IS 'When it was requested.';
END $$;

CREATE TABLE rollout_runtime (
  rollout_id       bigint      PRIMARY KEY REFERENCES rollout_configurations ON DELETE CASCADE,
  is_stopped       boolean     NOT NULL DEFAULT false,
  generation       integer     NOT NULL DEFAULT 0,
  target_version   text,
  stage            integer     NOT NULL DEFAULT 0,
  start_limit      integer     DEFAULT 0,
  started_count    integer     NOT NULL DEFAULT 0,
  finished_count   integer     NOT NULL DEFAULT 0,
  in_flight        integer     NOT NULL DEFAULT 0,
  minute           timestamptz,
  sent_in_minute   integer     NOT NULL DEFAULT 0,
  granted          integer     NOT NULL DEFAULT 0,
  sends_until      timestamptz,
  scan_fingerprint text,
  scan_cursor      text,
  changes_from_xid xid8,
  CONSTRAINT rollout_runtime_in_flight_check CHECK (in_flight >= 0),
  -- A sum with a larger number would overflow, and fail the statement for every rollout in it.
  CONSTRAINT rollout_runtime_counters_check CHECK (generation <= 1000000000 AND start_limit <= 1000000000
    AND started_count <= 1000000000 AND finished_count <= 1000000000 AND in_flight <= 1000000000
    AND sent_in_minute <= 1000000000 AND granted <= 1000000000),
  CONSTRAINT rollout_runtime_times_check CHECK (minute BETWEEN '2000-01-01' AND '2200-01-01'
    AND sends_until BETWEEN '2000-01-01' AND '2200-01-01')
);

DO $$ BEGIN
  COMMENT ON TABLE rollout_runtime IS 'Where each rollout stands; the orchestrator adds the row. Sends are reserved by one UPDATE whose conditions read this row alone, so that its lock orders concurrent dispatchers and no limit is exceeded.';
  COMMENT ON COLUMN rollout_runtime.rollout_id IS 'The rollout.';
  COMMENT ON COLUMN rollout_runtime.is_stopped IS 'True if the rollout is halted, paused or aborted: nothing is assigned or sent.';
  COMMENT ON COLUMN rollout_runtime.generation IS 'Number of resumptions, retries and changes of the version. Gates read outcomes of the present generation; an assignment that was prepared in an earlier one is not made.';
  COMMENT ON COLUMN rollout_runtime.target_version IS 'Version that the stages were entered for. If the rollout names another one, it starts over at the first stage.';
  COMMENT ON COLUMN rollout_runtime.stage IS 'Present stage, from 0; in a slow start the present wave.';
  COMMENT ON COLUMN rollout_runtime.start_limit IS 'In a slow start, how many updates may have started by now: those that have ended and one wave. The orchestrator sets it at each tick. Null: no limit.';
  COMMENT ON COLUMN rollout_runtime.started_count IS 'Updates whose first command was sent.';
  COMMENT ON COLUMN rollout_runtime.finished_count IS 'Updates of started_count that have ended.';
  COMMENT ON COLUMN rollout_runtime.in_flight IS 'Updates that hold a slot of max_in_flight.';
  COMMENT ON COLUMN rollout_runtime.minute IS 'The minute that sent_in_minute is of.';
  COMMENT ON COLUMN rollout_runtime.sent_in_minute IS 'Commands of that minute.';
  COMMENT ON COLUMN rollout_runtime.granted IS 'Sends that the last reservation was granted; read only by the statement that sets it.';
  COMMENT ON COLUMN rollout_runtime.sends_until IS 'Nothing is sent from this time on: the end of the present send window. Null: no end.';
  COMMENT ON COLUMN rollout_runtime.scan_fingerprint IS 'Hash of everything but the devices that decides which devices may be assigned. A new scan begins if it changes, and once a day.';
  COMMENT ON COLUMN rollout_runtime.scan_cursor IS 'Id of the last device scanned. Null: the scan is complete, or has not begun.';
  COMMENT ON COLUMN rollout_runtime.changes_from_xid IS 'Changes of devices from this transaction on are still to be read.';
END $$;

CREATE TABLE rollout_stages (
  rollout_id      bigint      NOT NULL REFERENCES rollout_configurations ON DELETE CASCADE,
  stage           integer     NOT NULL,
  hash_cutoff     text        NOT NULL,
  later_cutoff    text        NOT NULL DEFAULT '',
  is_exhausted    boolean     NOT NULL DEFAULT false,
  target_count    integer,
  sample_count    integer,
  start_quota     integer,
  began_at        timestamptz NOT NULL,
  extended_at     timestamptz,
  must_repeat     boolean     NOT NULL DEFAULT false,
  gate_held_since timestamptz,
  ended_at        timestamptz,
  PRIMARY KEY (rollout_id, stage),
  CONSTRAINT rollout_stages_times_check CHECK (began_at BETWEEN '2000-01-01' AND '2200-01-01'
    AND extended_at BETWEEN '2000-01-01' AND '2200-01-01' AND gate_held_since BETWEEN '2000-01-01' AND '2200-01-01'
    AND ended_at BETWEEN '2000-01-01' AND '2200-01-01')
);

DO $$ BEGIN
  COMMENT ON TABLE rollout_stages IS 'The stages that a rollout has entered; in a slow start its waves. The numbers that gates read are in update_counts.';
  COMMENT ON COLUMN rollout_stages.rollout_id IS 'The rollout.';
  COMMENT ON COLUMN rollout_stages.stage IS 'Number of the stage, from 0.';
  COMMENT ON COLUMN rollout_stages.hash_cutoff IS 'Highest md5 of rollout id and device id that the stage reaches, of the devices that registered up to counted_at of the rollout; it only rises from stage to stage. Other devices of the stage are named in rollout_members.';
  COMMENT ON COLUMN rollout_stages.later_cutoff IS 'The same for the devices that registered later: a stage with a percentage takes them in with that probability. Empty for a stage with a count, which is closed to them.';
  COMMENT ON COLUMN rollout_stages.is_exhausted IS 'True if the stage was given every target that was left when it was last extended.';
  COMMENT ON COLUMN rollout_stages.target_count IS 'Devices that the stage and those before it had when it began. Null in a slow start.';
  COMMENT ON COLUMN rollout_stages.sample_count IS 'Devices that the stage added when it began and that could be updated then: its gate waits for outcomes of as many at most. Null in a slow start.';
  COMMENT ON COLUMN rollout_stages.start_quota IS 'In a slow start, how many updates may be under way at the same time. Null in a planned stage.';
  COMMENT ON COLUMN rollout_stages.began_at IS 'When the stage began.';
  COMMENT ON COLUMN rollout_stages.extended_at IS 'When the stage last took more devices: it is repeated after a halt, or members were replaced.';
  COMMENT ON COLUMN rollout_stages.must_repeat IS 'True after a resumption: the orchestrator gives the stage as many new devices as it had.';
  COMMENT ON COLUMN rollout_stages.gate_held_since IS 'Since when the conditions of the gate are met; the soak runs from then. Null: they are not met.';
  COMMENT ON COLUMN rollout_stages.ended_at IS 'When the next stage began.';
END $$;

-- A stage with a count has its devices by name: a cutoff would also include devices that register later.
CREATE TABLE rollout_members (
  rollout_id bigint NOT NULL REFERENCES rollout_configurations ON DELETE CASCADE,
  device_id  text   NOT NULL REFERENCES devices ON DELETE CASCADE,
  PRIMARY KEY (device_id, rollout_id)
);

CREATE INDEX rollout_members_rollout_idx ON rollout_members (rollout_id);

DO $$ BEGIN
  COMMENT ON TABLE rollout_members IS 'Devices that the stages of a rollout took in by name: those of a stage with a count, those that cover first_stage_covers, and those that a stage took in later as replacements.';
  COMMENT ON COLUMN rollout_members.rollout_id IS 'The rollout.';
  COMMENT ON COLUMN rollout_members.device_id IS 'The device.';
  COMMENT ON INDEX rollout_members_rollout_idx IS 'Read when a rollout starts over or is deleted.';
END $$;

-- Holds -----------------------------------------------------------------------------------------------------------------

CREATE TABLE holds (
  id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  scope        text        NOT NULL CHECK (scope IN ('device', 'group', 'service')),
  device_id    text        REFERENCES devices ON DELETE CASCADE,
  group_name   text,
  reason       text        NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
  created_at   timestamptz NOT NULL DEFAULT now() CHECK (isfinite(created_at)),
  created_by   text,
  starts_at    timestamptz CHECK (isfinite(starts_at)),
  began_at     timestamptz DEFAULT now(),
  ends_at      timestamptz CHECK (isfinite(ends_at)),
  ended_at     timestamptz,
  ended_by     text,
  ended_reason text,
  CONSTRAINT holds_target_check CHECK ((scope = 'device') = (device_id IS NOT NULL) AND (scope = 'group') = (group_name IS NOT NULL)),
  CONSTRAINT holds_planned_check CHECK (began_at IS NOT NULL OR starts_at IS NOT NULL),
  CONSTRAINT holds_times_check CHECK (starts_at < ends_at)
);

CREATE INDEX holds_not_ended_idx ON holds (id) WHERE ended_at IS NULL;

CREATE INDEX holds_device_idx ON holds (device_id) WHERE device_id IS NOT NULL AND ended_at IS NULL;

CREATE INDEX holds_ended_idx ON holds (ended_at) WHERE ended_at IS NOT NULL;

DO $$ BEGIN
  COMMENT ON TABLE holds IS 'What is held: a device, a group, or the whole service. A held device is sent no command until the hold has ended. A hold is in force from began_at until ended_at is set, by an operator or by the orchestrator at ends_at.';
  COMMENT ON COLUMN holds.id IS 'Id of the hold.';
  COMMENT ON COLUMN holds.scope IS 'device, group or service: what it holds.';
  COMMENT ON COLUMN holds.device_id IS 'The device that it holds. Null: it holds a group or the service.';
  COMMENT ON COLUMN holds.group_name IS 'The group whose devices it holds, those that join later too. Null: it holds a device or the service.';
  COMMENT ON COLUMN holds.reason IS 'Why, as operators read it.';
  COMMENT ON COLUMN holds.created_at IS 'When it was set.';
  COMMENT ON COLUMN holds.created_by IS 'Who set it. Null: SQL.';
  COMMENT ON COLUMN holds.starts_at IS 'When the orchestrator lets it begin. Null: it began when it was set.';
  COMMENT ON COLUMN holds.began_at IS 'When it began. Null: it is planned, and holds nothing yet.';
  COMMENT ON COLUMN holds.ends_at IS 'When the orchestrator ends it. Null: it stays until somebody removes it.';
  COMMENT ON COLUMN holds.ended_at IS 'When it ended. Null: it is in force or planned.';
  COMMENT ON COLUMN holds.ended_by IS 'Who ended it: an operator, or orchestrator at ends_at. Null: SQL.';
  COMMENT ON COLUMN holds.ended_reason IS 'Why it was removed.';
  COMMENT ON INDEX holds_not_ended_idx IS 'Read by the rules of assignment and by whatever sends: the holds in force and the planned ones.';
  COMMENT ON INDEX holds_device_idx IS 'Read by the rules of assignment and by whatever sends: the holds of a device.';
  COMMENT ON INDEX holds_ended_idx IS 'Read by the orchestrator: when the service was last held.';
END $$;

-- Known issues ----------------------------------------------------------------------------------------------------------

CREATE TABLE known_issues (
  id               bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  device_model     text        NOT NULL,
  found_version    text        NOT NULL,
  title            text        NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
  link             text        CHECK (link ~ '^https?://' AND length(link) <= 500),
  device_filter    jsonb       NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(device_filter) = 'object'),
  created_at       timestamptz NOT NULL DEFAULT now() CHECK (isfinite(created_at)),
  created_by       text,
  fixed_version    text,
  fixed_at         timestamptz,
  fixed_by         text,
  withdrawn_at     timestamptz,
  withdrawn_by     text,
  withdrawn_reason text,
  CONSTRAINT known_issues_found_fkey FOREIGN KEY (device_model, found_version) REFERENCES firmware_releases (device_model, version),
  CONSTRAINT known_issues_fixed_fkey FOREIGN KEY (device_model, fixed_version) REFERENCES firmware_releases (device_model, version)
);

CREATE INDEX known_issues_model_idx ON known_issues (device_model, id) WHERE withdrawn_at IS NULL;

DO $$ BEGIN
  COMMENT ON TABLE known_issues IS 'Known issues of releases. The devices that the filter selects are not sent the release in which the issue was found, nor a later one of the model, until the release that fixes it. A recovery is not kept back.';
  COMMENT ON COLUMN known_issues.id IS 'Id of the issue.';
  COMMENT ON COLUMN known_issues.device_model IS 'Model of the releases.';
  COMMENT ON COLUMN known_issues.found_version IS 'The release in which it was found. It applies to this one and to every higher version.';
  COMMENT ON COLUMN known_issues.title IS 'The issue in one line, as operators read it.';
  COMMENT ON COLUMN known_issues.link IS 'Where more about it is written. Null: nowhere.';
  COMMENT ON COLUMN known_issues.device_filter IS 'The devices that it concerns, in the form of rollout_configurations.target_filter. Empty: every device of the model. A filter that cannot be read keeps every device.';
  COMMENT ON COLUMN known_issues.created_at IS 'When it was added.';
  COMMENT ON COLUMN known_issues.created_by IS 'Who added it. Null: SQL.';
  COMMENT ON COLUMN known_issues.fixed_version IS 'The release that fixes it: it does not apply to this one or to a higher version. Null: none is known.';
  COMMENT ON COLUMN known_issues.fixed_at IS 'When the release that fixes it was stated.';
  COMMENT ON COLUMN known_issues.fixed_by IS 'Who stated it. Null: SQL.';
  COMMENT ON COLUMN known_issues.withdrawn_at IS 'When it was withdrawn: it applies to no release. Null: it was not.';
  COMMENT ON COLUMN known_issues.withdrawn_by IS 'Who withdrew it. Null: SQL.';
  COMMENT ON COLUMN known_issues.withdrawn_reason IS 'Why it was withdrawn.';
  COMMENT ON INDEX known_issues_model_idx IS 'Read by the rules of assignment and by dispatch: the issues of a model that apply to a release.';
END $$;

-- Device updates --------------------------------------------------------------------------------------------------------

CREATE TABLE device_update_status (
  id                 bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  device_id          text        NOT NULL REFERENCES devices ON DELETE CASCADE,
  rollout_id         bigint      REFERENCES rollout_configurations ON DELETE CASCADE,
  release_id         bigint      REFERENCES firmware_releases,
  firmware_version   text        NOT NULL,
  previous_version   text,
  is_stepping_stone  boolean     NOT NULL DEFAULT false,
  failed_before      boolean     NOT NULL DEFAULT false,
  stage              integer     NOT NULL DEFAULT 0,
  status             text        NOT NULL DEFAULT 'pending',
  attempt            integer     NOT NULL DEFAULT 0,
  sends              integer     NOT NULL DEFAULT 0,
  progress_percent   integer,
  result_code        integer,
  error_message      text,
  cause              text,
  unexpected_version text,
  report_interval_seconds real,
  restarts_per_hour  real,
  observed_hours     real,
  created_at         timestamptz NOT NULL DEFAULT now(),
  not_before         timestamptz,
  spread_at          timestamptz,
  enqueue_after      timestamptz,
  next_family        text,
  next_delivery      text,
  unreachable_since  timestamptz,
  sent_at            timestamptz,
  started_at         timestamptz,
  acknowledged_at    timestamptz,
  reported_at        timestamptz,
  installed_at       timestamptz,
  booted_at          timestamptz,
  deadline_at        timestamptz,
  completed_at       timestamptz,
  late_success_at    timestamptz,
  late_rollback_at   timestamptz,
  unverified_at      timestamptz,
  declined_count     integer     NOT NULL DEFAULT 0,
  evaluated_events   integer     NOT NULL DEFAULT 0,
  generation         integer     NOT NULL DEFAULT 0,
  holds_slot         boolean     NOT NULL DEFAULT false,
  counts_as_started  boolean     NOT NULL DEFAULT false,
  is_counted         boolean     NOT NULL DEFAULT false,
  is_reclaimable     boolean     NOT NULL DEFAULT false,
  is_replaced        boolean     NOT NULL DEFAULT false,
  CONSTRAINT device_update_status_status_check CHECK (status IN ('pending', 'sent', 'downloading', 'downloaded',
    'installing', 'success', 'failed', 'rolled_back', 'timed_out', 'canceled')),
  CONSTRAINT device_update_status_cause_check CHECK (cause IN ('build', 'silence', 'delivery', 'declined', 'not_reached'))
);

DO $$ BEGIN
  COMMENT ON TABLE device_update_status IS 'Device updates: one device in one rollout, or an update that a device began by itself.';
  COMMENT ON COLUMN device_update_status.id IS 'Id of the update; of the updates of a device the highest is the newest.';
  COMMENT ON COLUMN device_update_status.device_id IS 'The device.';
  COMMENT ON COLUMN device_update_status.rollout_id IS 'The rollout. Null: the device began by itself.';
  COMMENT ON COLUMN device_update_status.release_id IS 'The release that is sent. Null: the device began by itself.';
  COMMENT ON COLUMN device_update_status.firmware_version IS 'Version that the update brings.';
  COMMENT ON COLUMN device_update_status.previous_version IS 'Version that the device ran when the newest command was sent; before that, when the update was assigned.';
  COMMENT ON COLUMN device_update_status.is_stepping_stone IS 'True if this release is a step on the way to the version of the rollout.';
  COMMENT ON COLUMN device_update_status.failed_before IS 'True if the device had failed in its last rollout, which others finished, when it was assigned: its outcome does not count in the gates.';
  COMMENT ON COLUMN device_update_status.stage IS 'Stage whose numbers its outcome counts in: the one that it was assigned in; in a slow start the wave in which it started.';
  COMMENT ON COLUMN device_update_status.status IS 'State. While completed_at is null, success means installed (booted_at is null) or on probation.';
  COMMENT ON COLUMN device_update_status.attempt IS 'Number of the present attempt; while pending, of the attempts that are used up.';
  COMMENT ON COLUMN device_update_status.sends IS 'Commands that were published and may have been delivered. An attempt can take several: if the device slept, its command is sent again.';
  COMMENT ON COLUMN device_update_status.progress_percent IS 'Progress of the download that the device last reported, from 0 to 100.';
  COMMENT ON COLUMN device_update_status.result_code IS 'Result code that the device reported; while pending, in the last attempt.';
  COMMENT ON COLUMN device_update_status.error_message IS 'Why it ended without success, or why it is pending again.';
  COMMENT ON COLUMN device_update_status.cause IS 'Cause of an end without success: build, silence, delivery, declined or not_reached. Null: it is open, was proven, or was canceled.';
  COMMENT ON COLUMN device_update_status.unexpected_version IS 'Version that the device reported after the reboot, if that is neither the new one nor the old one.';
  COMMENT ON COLUMN device_update_status.report_interval_seconds IS 'Usual time between two statuses of the device when the newest command was sent. Null: not known.';
  COMMENT ON COLUMN device_update_status.restarts_per_hour IS 'Usual restarts of the device when the newest command was sent. Null: not known.';
  COMMENT ON COLUMN device_update_status.observed_hours IS 'Hours in which restarts_per_hour was observed; the rate divides by one hour at least. Null: not known.';
  COMMENT ON COLUMN device_update_status.created_at IS 'When it was assigned.';
  COMMENT ON COLUMN device_update_status.not_before IS 'No command is sent before this time, even if the device reports: jitter, or the wait before a retry.';
  COMMENT ON COLUMN device_update_status.spread_at IS 'When the device came back in reach and the jitter of its rollout gave it a time of its own, which not_before was then. Null: the jitter has not counted from a return.';
  COMMENT ON COLUMN device_update_status.enqueue_after IS 'The orchestrator queues the pending update for dispatch from this time on. A device that reports does not wait for it.';
  COMMENT ON COLUMN device_update_status.next_family IS 'Topic family of the next attempt. Null: as the device and the deployment say.';
  COMMENT ON COLUMN device_update_status.next_delivery IS 'Delivery (redirect, direct or presigned) of the next attempt. Null: as the settings of the model say.';
  COMMENT ON COLUMN device_update_status.unreachable_since IS 'Since when the update is pending because the device was not connected. Null: the device is within reach.';
  COMMENT ON COLUMN device_update_status.sent_at IS 'When the command of the present attempt was sent. Null while pending.';
  COMMENT ON COLUMN device_update_status.started_at IS 'When the device first reported about the update, in any attempt.';
  COMMENT ON COLUMN device_update_status.acknowledged_at IS 'When the device first reported about the present attempt; opening the link counts.';
  COMMENT ON COLUMN device_update_status.reported_at IS 'When the newest report came; before the first, when the update was assigned or sent.';
  COMMENT ON COLUMN device_update_status.installed_at IS 'When the device reported that it has written the image; without that report, when it first ran the new version.';
  COMMENT ON COLUMN device_update_status.booted_at IS 'When a status first named the new version.';
  COMMENT ON COLUMN device_update_status.deadline_at IS 'When the update is evaluated even if nothing more is heard. Null once it has ended.';
  COMMENT ON COLUMN device_update_status.completed_at IS 'When it ended. Null: it is open.';
  COMMENT ON COLUMN device_update_status.late_success_at IS 'When a device whose update had failed was found to run the version after all; the failure does not count any more.';
  COMMENT ON COLUMN device_update_status.late_rollback_at IS 'When a device that had proven the version was found to run another one, which no rollout had sent.';
  COMMENT ON COLUMN device_update_status.unverified_at IS 'When a device that had reported that the verification of the image failed was found to run its version: the bytes that it runs are not verified. It is not a late success.';
  COMMENT ON COLUMN device_update_status.declined_count IS 'How often the device has declined. Declining uses no attempt; the wait before the next command grows.';
  COMMENT ON COLUMN device_update_status.generation IS 'Generation of the rollout that the outcome counts in: the one in which its newest command was sent.';
  COMMENT ON COLUMN device_update_status.evaluated_events IS 'Events of the attempt that the state was evaluated from. An evaluation of fewer events is not stored over one of more.';
  COMMENT ON COLUMN device_update_status.holds_slot IS 'True if it counts in rollout_runtime.in_flight.';
  COMMENT ON COLUMN device_update_status.counts_as_started IS 'True if it counts in rollout_runtime.started_count.';
  COMMENT ON COLUMN device_update_status.is_counted IS 'True if it has ended and has given back its slot and its place in the wave.';
  COMMENT ON COLUMN device_update_status.is_reclaimable IS 'True if the same rollout may assign the device again: the update was canceled for a reason that can pass (a stop, a take-over, an edit of the rollout), or its failure is retried.';
  COMMENT ON COLUMN device_update_status.is_replaced IS 'True if the same rollout has assigned the device again: the later row counts.';
END $$;

CREATE UNIQUE INDEX device_update_status_open_idx ON device_update_status (device_id)
  WHERE completed_at IS NULL AND rollout_id IS NOT NULL;

CREATE UNIQUE INDEX device_update_status_assignment_idx ON device_update_status (device_id, rollout_id, firmware_version)
  WHERE NOT is_reclaimable;

CREATE INDEX device_update_status_replaceable_idx ON device_update_status (rollout_id, device_id)
  WHERE is_reclaimable AND NOT is_replaced;

CREATE INDEX device_update_status_device_idx ON device_update_status (device_id, id);

CREATE INDEX device_update_status_late_success_idx ON device_update_status (device_id)
  WHERE status IN ('failed', 'rolled_back', 'timed_out') AND late_success_at IS NULL AND unverified_at IS NULL;

CREATE INDEX device_update_status_late_rollback_idx ON device_update_status (late_rollback_at)
  WHERE late_rollback_at IS NOT NULL;

CREATE INDEX device_update_status_unverified_idx ON device_update_status (unverified_at) WHERE unverified_at IS NOT NULL;

CREATE INDEX device_update_status_pending_idx ON device_update_status (rollout_id, counts_as_started, failed_before, enqueue_after)
  WHERE status = 'pending';

CREATE INDEX device_update_status_cancelable_idx ON device_update_status (rollout_id)
  WHERE completed_at IS NULL AND status IN ('pending', 'sent');

CREATE INDEX device_update_status_in_flight_idx ON device_update_status (device_id) WHERE holds_slot AND completed_at IS NULL;

CREATE INDEX device_update_status_deadline_idx ON device_update_status (deadline_at) WHERE completed_at IS NULL;

CREATE INDEX device_update_status_uncounted_idx ON device_update_status (rollout_id)
  WHERE completed_at IS NOT NULL AND NOT is_counted AND rollout_id IS NOT NULL;

CREATE INDEX device_update_status_reachable_idx ON device_update_status (rollout_id)
  WHERE completed_at IS NULL AND unreachable_since IS NULL;

CREATE INDEX device_update_status_silent_idx ON device_update_status (rollout_id)
  WHERE completed_at IS NULL AND unreachable_since IS NOT NULL AND started_at IS NOT NULL;

CREATE INDEX device_update_status_unexpected_idx ON device_update_status (rollout_id, unexpected_version)
  WHERE unexpected_version IS NOT NULL;

CREATE INDEX device_update_status_probation_idx ON device_update_status (rollout_id, deadline_at)
  WHERE status = 'success' AND completed_at IS NULL;

CREATE INDEX device_update_status_health_idx ON device_update_status (rollout_id, generation, firmware_version, id)
  WHERE status = 'success' AND booted_at IS NOT NULL;

CREATE INDEX device_update_status_failed_before_idx ON device_update_status (rollout_id)
  WHERE failed_before AND counts_as_started;

CREATE INDEX device_update_status_rollout_idx ON device_update_status (rollout_id, id);

CREATE INDEX device_update_status_rollout_open_idx ON device_update_status (rollout_id, id) WHERE completed_at IS NULL;

CREATE INDEX device_update_status_rollout_status_idx ON device_update_status (rollout_id, status, id);

CREATE INDEX device_update_status_completed_idx ON device_update_status (completed_at) WHERE completed_at IS NOT NULL;

DO $$ BEGIN
  COMMENT ON INDEX device_update_status_open_idx IS 'One open update per device; updates that a device began by itself are exempt. Read by the assignment of devices, by dispatch for a device that reports, and by lists of devices that are updating.';
  COMMENT ON INDEX device_update_status_assignment_idx IS 'One update per device, rollout and version, except where the device may be assigned again. Read by the assignment of devices, which it answers without the table.';
  COMMENT ON INDEX device_update_status_replaceable_idx IS 'Read by the assignment of devices, which replaces the former update of a device.';
  COMMENT ON INDEX device_update_status_device_idx IS 'Read by everything about one device: its newest update, its timeline, its explanation, and which of its updates a status concerns.';
  COMMENT ON INDEX device_update_status_late_success_idx IS 'Read by ingestion, for failed updates of devices that report: they may have succeeded late.';
  COMMENT ON INDEX device_update_status_late_rollback_idx IS 'Read by the overview, which lists what needs attention.';
  COMMENT ON INDEX device_update_status_unverified_idx IS 'Read by the overview, which lists what needs attention, and by the alarm on unverified bytes.';
  COMMENT ON INDEX device_update_status_pending_idx IS 'Read by the orchestrator, which picks updates for dispatch; those that have started first, so that retries do not wait behind a fleet.';
  COMMENT ON INDEX device_update_status_cancelable_idx IS 'Read by the orchestrator: whether there is anything to send or to cancel, and what a stopped rollout cancels.';
  COMMENT ON INDEX device_update_status_in_flight_idx IS 'Read by in_flight_by_value: updates in flight, of which there are few in a large fleet.';
  COMMENT ON INDEX device_update_status_deadline_idx IS 'Read by the orchestrator for overdue updates, and for the next deadline before idle mode.';
  COMMENT ON INDEX device_update_status_uncounted_idx IS 'Read by the orchestrator and by ingestion, which take back the slots of ended updates.';
  COMMENT ON INDEX device_update_status_reachable_idx IS 'Read by the gates: a stage is under way while it has an open update of a device within reach.';
  COMMENT ON INDEX device_update_status_silent_idx IS 'Read by the gates: a device that has started and is out of reach counts as a failure while it stays so.';
  COMMENT ON INDEX device_update_status_unexpected_idx IS 'Read by the gates: devices that agree on an unexpected version halt the rollout.';
  COMMENT ON INDEX device_update_status_probation_idx IS 'Read by the status text of a rollout: how many devices are on probation, and until when.';
  COMMENT ON INDEX device_update_status_health_idx IS 'Read by the gate of release health: the devices of a rollout that have booted its release, oldest update first.';
  COMMENT ON INDEX device_update_status_failed_before_idx IS 'Read by the gates, which count devices that failed before separately.';
  COMMENT ON INDEX device_update_status_rollout_idx IS 'Read by pages of the updates of a rollout, by its resumption, which counts what has not ended, and when it is deleted.';
  COMMENT ON INDEX device_update_status_rollout_open_idx IS 'Read by pages of the open updates of a rollout, and by its completion.';
  COMMENT ON INDEX device_update_status_rollout_status_idx IS 'Read by pages of the updates of a rollout in one state, and by the retry of failed devices.';
  COMMENT ON INDEX device_update_status_completed_idx IS 'Read by housekeeping, which deletes old updates.';
END $$;

CREATE TABLE update_attempts (
  update_id      bigint      NOT NULL REFERENCES device_update_status ON DELETE CASCADE,
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
  PRIMARY KEY (update_id, attempt)
);

CREATE INDEX update_attempts_device_idx ON update_attempts (device_id, sent_at DESC);

DO $$ BEGIN
  COMMENT ON TABLE update_attempts IS 'Attempts of device updates. A device names no attempt: its reports belong to the newest attempt that was sent before they were received.';
  COMMENT ON COLUMN update_attempts.update_id IS 'The update.';
  COMMENT ON COLUMN update_attempts.attempt IS 'Number of the attempt, from 1.';
  COMMENT ON COLUMN update_attempts.device_id IS 'The device.';
  COMMENT ON COLUMN update_attempts.version IS 'Version that the command named. A report that names another version does not belong to the attempt.';
  COMMENT ON COLUMN update_attempts.command_family IS 'Topic family that the command was published on. Null: the device began by itself.';
  COMMENT ON COLUMN update_attempts.delivery IS 'How the device gets the image: redirect, direct or presigned.';
  COMMENT ON COLUMN update_attempts.sent_at IS 'When the command was last sent; if the device began by itself, when its first report was received.';
  COMMENT ON COLUMN update_attempts.send_result IS 'What became of the command: acknowledged, unconfirmed, published, throttled or refused. Null: not known.';
  COMMENT ON COLUMN update_attempts.ended_at IS 'When the attempt ended. Null: it has not ended, or was canceled.';
  COMMENT ON COLUMN update_attempts.status IS 'State in which the attempt ended.';
  COMMENT ON COLUMN update_attempts.result_code IS 'Result code that the device reported.';
  COMMENT ON COLUMN update_attempts.reason IS 'Why the attempt failed.';
  COMMENT ON INDEX update_attempts_device_idx IS 'Read by ingestion, which finds the attempt of each report.';
END $$;

-- Events and messages ---------------------------------------------------------------------------------------------------

CREATE TABLE ota_events (
  id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  device_id    text,
  rollout_id   bigint,
  update_id    bigint,
  attempt      integer,
  event_type   text        NOT NULL,
  state        text,
  received_at  timestamptz NOT NULL,
  payload      jsonb       NOT NULL DEFAULT '{}',
  payload_hash text        NOT NULL,
  created_at   timestamptz NOT NULL DEFAULT now(),
  published_at timestamptz,
  CONSTRAINT ota_events_message_key UNIQUE NULLS NOT DISTINCT (device_id, event_type, received_at, payload_hash)
);

CREATE INDEX ota_events_attempt_idx ON ota_events (update_id, attempt);

CREATE INDEX ota_events_device_idx ON ota_events (device_id, received_at) WHERE device_id IS NOT NULL;

CREATE INDEX ota_events_rollout_idx ON ota_events (rollout_id, id) WHERE device_id IS NULL;

CREATE INDEX ota_events_decisions_idx ON ota_events (id) WHERE device_id IS NULL;

CREATE INDEX ota_events_identity_idx ON ota_events (received_at)
WHERE event_type IN ('model_changed', 'mac_changed', 'mac_shared', 'certificates_revoked');

CREATE INDEX ota_events_unpublished_idx ON ota_events (id) WHERE device_id IS NULL AND published_at IS NULL;

DO $$ BEGIN
  COMMENT ON TABLE ota_events IS 'What happened: reports about updates, what operators did to devices, and decisions about rollouts. The state of an update is evaluated from the reports of its attempt. A message that is delivered twice is one row.';
  COMMENT ON COLUMN ota_events.id IS 'Order of recording.';
  COMMENT ON COLUMN ota_events.device_id IS 'The device. Null: the event is a decision about a rollout.';
  COMMENT ON COLUMN ota_events.rollout_id IS 'The rollout; of a report the rollout of its update.';
  COMMENT ON COLUMN ota_events.update_id IS 'The update that the report belongs to.';
  COMMENT ON COLUMN ota_events.attempt IS 'The attempt that the report belongs to.';
  COMMENT ON COLUMN ota_events.event_type IS 'Of a report: accepted, progress, result, fetch (the download link was opened) or status. Else what was done, decided or noticed, such as device_revoked, rollout_halted or model_changed.';
  COMMENT ON COLUMN ota_events.state IS 'State that the report shows the update to be in: downloading, downloaded or installing.';
  COMMENT ON COLUMN ota_events.received_at IS 'When the broker received the message, or when it was done or decided.';
  COMMENT ON COLUMN ota_events.payload IS 'What was said or decided: of a message its fields, of a decision the reason, who took it, and the numbers at that moment.';
  COMMENT ON COLUMN ota_events.payload_hash IS 'Names the event, together with device, type and time.';
  COMMENT ON COLUMN ota_events.created_at IS 'When it was recorded.';
  COMMENT ON COLUMN ota_events.published_at IS 'When the decision was put on the event bus. Null: it is still to be, or the event is of a device.';
  COMMENT ON INDEX ota_events_attempt_idx IS 'Read by the evaluation of updates: the reports of an attempt.';
  COMMENT ON INDEX ota_events_device_idx IS 'Read by the timeline of a device.';
  COMMENT ON INDEX ota_events_rollout_idx IS 'Read by the decisions about a rollout, and by the gates, which count from its last resumption.';
  COMMENT ON INDEX ota_events_decisions_idx IS 'Read by the decisions about all rollouts.';
  COMMENT ON INDEX ota_events_identity_idx IS 'Read by the overview: devices whose identity changed in the last day.';
  COMMENT ON INDEX ota_events_unpublished_idx IS 'Read by the orchestrator, which publishes decisions.';
END $$;

CREATE TABLE rejected_messages (
  id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  topic          text        NOT NULL,
  device_id      text,
  client_id      text,
  reason         text        NOT NULL,
  payload        text        NOT NULL,
  payload_bytes  integer     NOT NULL,
  payload_sha256 text        NOT NULL,
  received_at    timestamptz NOT NULL,
  CONSTRAINT rejected_messages_message_key UNIQUE (topic, received_at, payload_sha256)
);

CREATE INDEX rejected_messages_received_idx ON rejected_messages (received_at);

CREATE INDEX rejected_messages_device_idx ON rejected_messages (device_id, id) WHERE device_id IS NOT NULL;

DO $$ BEGIN
  COMMENT ON TABLE rejected_messages IS 'Messages that could not be processed, and one row per topic and minute whose rate limit was exceeded.';
  COMMENT ON COLUMN rejected_messages.id IS 'Order of rejection; pages of the list go by it.';
  COMMENT ON COLUMN rejected_messages.topic IS 'Topic that the message came on; empty if it came past the topic rules.';
  COMMENT ON COLUMN rejected_messages.device_id IS 'Device that the topic names, whether it is registered or not. Null if the topic names none.';
  COMMENT ON COLUMN rejected_messages.client_id IS 'MQTT client id of the sender, if the rule named it.';
  COMMENT ON COLUMN rejected_messages.reason IS 'Why it was rejected.';
  COMMENT ON COLUMN rejected_messages.payload IS 'First 16 KiB of the payload, in base64.';
  COMMENT ON COLUMN rejected_messages.payload_bytes IS 'Size of the whole payload in bytes.';
  COMMENT ON COLUMN rejected_messages.payload_sha256 IS 'SHA-256 of the whole payload. With topic and time it names the message, so that a redelivery adds no row.';
  COMMENT ON COLUMN rejected_messages.received_at IS 'When the broker received the message.';
  COMMENT ON INDEX rejected_messages_device_idx IS 'Read by the page of a device: its newest rejected message.';
  COMMENT ON INDEX rejected_messages_received_idx IS 'Read by the overview, which counts the rejections of the last day.';
END $$;

CREATE TABLE refused_clients (
  client_id text        PRIMARY KEY,
  reason    text        NOT NULL,
  times     integer     NOT NULL,
  first_at  timestamptz NOT NULL,
  last_at   timestamptz NOT NULL
);

DO $$ BEGIN
  COMMENT ON TABLE refused_clients IS 'MQTT clients that AWS IoT disconnected by their policy; the last 1,000 of them. A client need not be a registered device.';
  COMMENT ON COLUMN refused_clients.client_id IS 'MQTT client id: the id of a device unless devices connect as other clients.';
  COMMENT ON COLUMN refused_clients.reason IS 'Reason of the newest disconnection: AUTH_ERROR or FORBIDDEN_ACCESS.';
  COMMENT ON COLUMN refused_clients.times IS 'Disconnections of the present series, which two hours without one end. In idle mode most are not counted.';
  COMMENT ON COLUMN refused_clients.first_at IS 'First disconnection of the series.';
  COMMENT ON COLUMN refused_clients.last_at IS 'Newest disconnection.';
END $$;

-- Counters --------------------------------------------------------------------------------------------------------------

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
  is_compacted     boolean NOT NULL DEFAULT false
);

CREATE INDEX update_counts_rollout_idx ON update_counts (rollout_id);

CREATE INDEX update_counts_entries_idx ON update_counts (rollout_id) WHERE NOT is_compacted;

DO $$ BEGIN
  COMMENT ON TABLE update_counts IS 'Counters: how many updates of a rollout are in which state. Triggers add a row for each change and no row is updated, so that no writer waits for another; a count is the sum of its rows. The orchestrator replaces the rows by their sum.';
  COMMENT ON COLUMN update_counts.rollout_id IS 'The rollout.';
  COMMENT ON COLUMN update_counts.generation IS 'Generation of the updates.';
  COMMENT ON COLUMN update_counts.stage IS 'Stage of the updates.';
  COMMENT ON COLUMN update_counts.firmware_version IS 'Version that the updates bring: that of the rollout, or of a stepping stone.';
  COMMENT ON COLUMN update_counts.state IS 'State of the updates as in device_update_status.status, but on_probation for a success that is still open, late_success and late_rollback.';
  COMMENT ON COLUMN update_counts.cause IS 'Cause of the failures.';
  COMMENT ON COLUMN update_counts.is_started IS 'True if a command was sent.';
  COMMENT ON COLUMN update_counts.is_reclaimable IS 'As in device_update_status. Updates that were replaced are not counted.';
  COMMENT ON COLUMN update_counts.reason IS 'Why the updates failed. Null if they did not.';
  COMMENT ON COLUMN update_counts.updates IS 'How many more updates, or fewer if negative.';
  COMMENT ON COLUMN update_counts.is_compacted IS 'True if the row is a sum.';
  COMMENT ON INDEX update_counts_rollout_idx IS 'Read by the gates of a rollout, by the view rollout_overview, and by the stages and failures of a rollout.';
  COMMENT ON INDEX update_counts_entries_idx IS 'Read by the compaction, for what came since the last one.';
END $$;

CREATE TABLE outcome_counts (
  rollout_id   bigint      NOT NULL,
  ended_at     timestamptz NOT NULL,
  is_success   boolean     NOT NULL,
  updates      bigint      NOT NULL,
  is_compacted boolean     NOT NULL DEFAULT false
);

CREATE INDEX outcome_counts_rollout_idx ON outcome_counts (rollout_id, ended_at);

CREATE INDEX outcome_counts_entries_idx ON outcome_counts (rollout_id, ended_at) WHERE NOT is_compacted;

DO $$ BEGIN
  COMMENT ON TABLE outcome_counts IS 'Counters: how many updates of a rollout ended when, and how. Works as update_counts does.';
  COMMENT ON COLUMN outcome_counts.rollout_id IS 'The rollout.';
  COMMENT ON COLUMN outcome_counts.ended_at IS 'When the updates ended, in steps of ten seconds.';
  COMMENT ON COLUMN outcome_counts.is_success IS 'True if the updates were proven, false if they failed, rolled back or timed out.';
  COMMENT ON COLUMN outcome_counts.updates IS 'How many more updates, or fewer if negative.';
  COMMENT ON COLUMN outcome_counts.is_compacted IS 'True if the row is a sum.';
  COMMENT ON INDEX outcome_counts_rollout_idx IS 'Read by the outcomes of a rollout over time.';
  COMMENT ON INDEX outcome_counts_entries_idx IS 'Read by the compaction, for what came since the last one.';
END $$;

CREATE TABLE version_counts (
  device_model     text    NOT NULL,
  firmware_version text    NOT NULL,
  devices          bigint  NOT NULL,
  restarts         bigint  NOT NULL DEFAULT 0,
  observed_seconds bigint  NOT NULL DEFAULT 0,
  is_compacted     boolean NOT NULL DEFAULT false
);

CREATE INDEX version_counts_version_idx ON version_counts (device_model, firmware_version);

CREATE INDEX version_counts_entries_idx ON version_counts (device_model, firmware_version) WHERE NOT is_compacted;

DO $$ BEGIN
  COMMENT ON TABLE version_counts IS 'Counters: how many devices run which version, without revoked ones, and the restarts of devices that have left it. Works as update_counts does.';
  COMMENT ON COLUMN version_counts.device_model IS 'Model of the devices.';
  COMMENT ON COLUMN version_counts.firmware_version IS 'Version that the devices run.';
  COMMENT ON COLUMN version_counts.devices IS 'How many more devices, or fewer if negative.';
  COMMENT ON COLUMN version_counts.restarts IS 'Restarts on this version of devices that have left it. Those of the other devices are in devices.restarts.';
  COMMENT ON COLUMN version_counts.observed_seconds IS 'Time for which devices that have left this version had run it, between their first and their newest status.';
  COMMENT ON COLUMN version_counts.is_compacted IS 'True if the row is a sum.';
  COMMENT ON INDEX version_counts_version_idx IS 'Read by lists of releases, for the devices on each, and by the view release_health.';
  COMMENT ON INDEX version_counts_entries_idx IS 'Read by the compaction, for what came since the last one.';
END $$;

CREATE TABLE fleet_versions (
  sampled_at       timestamptz NOT NULL,
  device_model     text        NOT NULL,
  firmware_version text        NOT NULL,
  devices          integer     NOT NULL,
  PRIMARY KEY (sampled_at, device_model, firmware_version)
);

DO $$ BEGIN
  COMMENT ON TABLE fleet_versions IS 'Samples of version_counts over time, one every five minutes while the service is awake. Dashboards read it.';
  COMMENT ON COLUMN fleet_versions.sampled_at IS 'When the sample was taken.';
  COMMENT ON COLUMN fleet_versions.device_model IS 'Model of the devices.';
  COMMENT ON COLUMN fleet_versions.firmware_version IS 'Version that the devices ran.';
  COMMENT ON COLUMN fleet_versions.devices IS 'How many devices ran it.';
END $$;

-- Identity --------------------------------------------------------------------------------------------------------------

CREATE TABLE allowed_devices (
  device_id      text        PRIMARY KEY,
  allowed_at     timestamptz NOT NULL,
  allowed_by     text        NOT NULL,
  provisioned_at timestamptz,
  claim_certificate_id text,
  certificates   integer     NOT NULL DEFAULT 0,
  device_model   text,
  mac_address    text,
  CONSTRAINT allowed_devices_device_id_check CHECK (device_id ~ '^[A-Za-z0-9_:-]{1,64}$'),
  CONSTRAINT allowed_devices_mac_address_check CHECK (mac_address ~ '^([0-9A-F]{2}:){5}[0-9A-F]{2}$'),
  CONSTRAINT allowed_devices_identity_check CHECK (mac_address IS NULL OR device_model IS NOT NULL)
);

DO $$ BEGIN
  COMMENT ON TABLE allowed_devices IS 'Devices that may get a certificate by a provisioning claim. An entry is used up some minutes after its first use, so that a leaked claim gives nobody the identity of a device that has one.';
  COMMENT ON COLUMN allowed_devices.device_id IS 'The device; it need not be registered yet.';
  COMMENT ON COLUMN allowed_devices.allowed_at IS 'When it was allowed.';
  COMMENT ON COLUMN allowed_devices.allowed_by IS 'Who allowed it.';
  COMMENT ON COLUMN allowed_devices.provisioned_at IS 'When a certificate was first asked for. Null: not yet.';
  COMMENT ON COLUMN allowed_devices.claim_certificate_id IS 'Id of the claim that used the entry first; others are refused. Null: not used yet.';
  COMMENT ON COLUMN allowed_devices.certificates IS 'How many certificates the entry has allowed. More than one: an answer got lost, or somebody else holds the claim.';
  COMMENT ON COLUMN allowed_devices.device_model IS 'Model of the device, in lower case. It is stored with the first status of the device, unless its model is known by then; what the status states instead is a change. Null: the device states it.';
  COMMENT ON COLUMN allowed_devices.mac_address IS 'MAC address of the device, in upper case with colons, used like the model. Null: the device states it.';
END $$;

-- Leases and migrations -------------------------------------------------------------------------------------------------

CREATE TABLE leases (
  name       text        PRIMARY KEY,
  holder     text        NOT NULL,
  expires_at timestamptz NOT NULL
);

DO $$ BEGIN
  COMMENT ON TABLE leases IS 'Who does work that only one may do at a time. A lease is a row and not an advisory lock, which would end with the call of the Data API that took it.';
  COMMENT ON COLUMN leases.name IS 'The work: orchestrate (a tick), housekeeping or recount (held until they are due again).';
  COMMENT ON COLUMN leases.holder IS 'Id of the invocation that holds the lease.';
  COMMENT ON COLUMN leases.expires_at IS 'From then on another may take the lease.';
END $$;

CREATE TABLE ingestion_progress (
  queue        text             PRIMARY KEY,
  messages     integer,
  empty_at     timestamptz,
  processed_at timestamptz,
  lag_seconds  double precision NOT NULL DEFAULT 0
);

DO $$ BEGIN
  COMMENT ON TABLE ingestion_progress IS 'How far the messages of devices have been processed. Silence is evaluated at that time, because a message that was received before a deadline may wait in its queue.';
  COMMENT ON COLUMN ingestion_progress.queue IS 'Work of the queue: status or ota.';
  COMMENT ON COLUMN ingestion_progress.messages IS 'Messages that the queue held at the newest reading of the orchestrator, those in flight included. Null: not read yet, or the reading failed.';
  COMMENT ON COLUMN ingestion_progress.empty_at IS 'The newest reading at which it was empty, or the first one.';
  COMMENT ON COLUMN ingestion_progress.processed_at IS 'When a batch of it was processed last, give or take 15 seconds.';
  COMMENT ON COLUMN ingestion_progress.lag_seconds IS 'The greatest time from receiving a message to processing it, of the recent batches: it halves every five minutes after processed_at.';
END $$;

-- The migration runner has created this table.
DO $$ BEGIN
  COMMENT ON TABLE schema_migrations IS 'Migrations that were applied to this database. Functions read it and cannot write it.';
  COMMENT ON COLUMN schema_migrations.version IS 'Number of the migration, as in the name of its file.';
  COMMENT ON COLUMN schema_migrations.name IS 'Name of the migration.';
  COMMENT ON COLUMN schema_migrations.checksum IS 'SHA-256 of the statements that were applied. A migration whose file has another is refused.';
  COMMENT ON COLUMN schema_migrations.applied_at IS 'When it was applied.';
END $$;

-- Functions and triggers ------------------------------------------------------------------------------------------------

-- Triggers that count and record run as their owner (SECURITY DEFINER): no role may write what they write.

CREATE FUNCTION record_device_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  INSERT INTO device_changes (device_id) VALUES (coalesce(NEW.device_id, OLD.device_id));
  RETURN NULL;
END
$$;

CREATE TRIGGER devices_record_insert AFTER INSERT ON devices
FOR EACH ROW EXECUTE FUNCTION record_device_change();

-- A heartbeat changes none of these columns.
CREATE TRIGGER devices_record_change
AFTER UPDATE OF device_model, current_firmware_version, mac_address, metadata, revoked_at, identity_changed_at, model_received_at ON devices
FOR EACH ROW WHEN ((OLD.device_model, OLD.current_firmware_version, OLD.mac_address, OLD.metadata, OLD.revoked_at,
    OLD.identity_changed_at IS NULL, OLD.model_is_assumed)
  IS DISTINCT FROM (NEW.device_model, NEW.current_firmware_version, NEW.mac_address, NEW.metadata, NEW.revoked_at,
    NEW.identity_changed_at IS NULL, NEW.model_is_assumed))
EXECUTE FUNCTION record_device_change();

CREATE FUNCTION record_fact_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
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

CREATE TRIGGER devices_record_facts AFTER UPDATE OF facts ON devices
FOR EACH ROW WHEN (OLD.facts <> NEW.facts) EXECUTE FUNCTION record_fact_change();

CREATE TRIGGER device_groups_record_change AFTER INSERT OR UPDATE OR DELETE ON device_groups
FOR EACH ROW EXECUTE FUNCTION record_device_change();

CREATE TRIGGER device_update_status_record_end AFTER UPDATE OF completed_at ON device_update_status
FOR EACH ROW WHEN (OLD.completed_at IS NULL AND NEW.completed_at IS NOT NULL AND NEW.rollout_id IS NOT NULL)
EXECUTE FUNCTION record_device_change();

CREATE TRIGGER device_update_status_record_delete AFTER DELETE ON device_update_status
FOR EACH ROW WHEN (OLD.completed_at IS NULL AND OLD.rollout_id IS NOT NULL) EXECUTE FUNCTION record_device_change();

DO $$ BEGIN
  COMMENT ON FUNCTION record_device_change() IS 'Trigger: records that the device of the row has changed in a way that decides whether a rollout may assign it.';
  COMMENT ON TRIGGER devices_record_insert ON devices IS 'Read by the scan of rollouts: a new device may be assigned.';
  COMMENT ON TRIGGER devices_record_change ON devices IS 'Read by the scan of rollouts: target filters and the update policy read these columns.';
  COMMENT ON FUNCTION record_fact_change() IS 'Trigger: records that a device states another fact, if rollouts may select it by that. Facts that change while a device runs count only while the filter of a rollout names them.';
  COMMENT ON TRIGGER devices_record_facts ON devices IS 'Read by the scan of rollouts: target filters read facts, and a device may have become too small for an image, or large enough.';
  COMMENT ON TRIGGER device_groups_record_change ON device_groups IS 'Read by the scan of rollouts: target filters read groups. Leaving a group can make a device eligible for a rollout of lower priority, so it counts as a change.';
  COMMENT ON TRIGGER device_update_status_record_end ON device_update_status IS 'Read by the scan of rollouts: a device whose update has ended may be assigned by another rollout, or again by the same one.';
  COMMENT ON TRIGGER device_update_status_record_delete ON device_update_status IS 'Read by the scan of rollouts: a device whose open update is deleted, with its rollout, may be assigned by another one.';
END $$;

-- One place records a hold, whoever sets or ends it, in the history of the devices that it names. The orchestrator
-- evaluates which rollouts it holds up, and records that; its end is recorded for these.
CREATE FUNCTION record_hold() RETURNS trigger LANGUAGE plpgsql AS $$
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

CREATE TRIGGER holds_record_begin AFTER INSERT ON holds
FOR EACH ROW WHEN (NEW.began_at IS NOT NULL AND NEW.ended_at IS NULL) EXECUTE FUNCTION record_hold();

CREATE TRIGGER holds_record_change AFTER UPDATE OF began_at, ended_at ON holds
FOR EACH ROW WHEN (OLD.ended_at IS NULL AND NEW.began_at IS NOT NULL AND (OLD.began_at IS NULL OR NEW.ended_at IS NOT NULL)) EXECUTE FUNCTION record_hold();

DO $$ BEGIN
  COMMENT ON FUNCTION record_hold() IS 'Trigger: records that a hold has begun or ended, with its reason and its author, as events of the devices that it names. Its end is an event of the active rollouts that it held up, too.';
  COMMENT ON TRIGGER holds_record_begin ON holds IS 'Records a hold that begins when it is set.';
  COMMENT ON TRIGGER holds_record_change ON holds IS 'Records that a planned hold has begun, and that a hold in force has ended.';
END $$;

-- What a role may not write although it may write the column. A grant cannot say that.
CREATE FUNCTION refuse_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE insufficient_privilege USING MESSAGE = format('permission denied for this row of %s: role %s, %s', TG_TABLE_NAME, current_user, TG_NAME);
END
$$;

CREATE TRIGGER ota_events_only_own_types BEFORE INSERT ON ota_events
FOR EACH ROW WHEN (current_user = 'paku_public' AND NEW.event_type NOT IN ('fetch', 'device_provisioned')
  OR current_user = 'paku_ingest' AND NEW.event_type NOT IN ('accepted', 'declined', 'progress', 'result', 'status')
    AND NOT (NEW.event_type = 'identity_accepted' AND NEW.payload ->> 'by' = 'settings'))
EXECUTE FUNCTION refuse_row();

CREATE FUNCTION keep_decisions_in_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.received_at := greatest(NEW.received_at, (
    SELECT CASE WHEN e.received_at < NEW.received_at + interval '5 minutes' THEN e.received_at END
    FROM ota_events AS e WHERE e.rollout_id = NEW.rollout_id AND e.device_id IS NULL ORDER BY e.id DESC LIMIT 1));
  RETURN NEW;
END
$$;

CREATE TRIGGER ota_events_in_order BEFORE INSERT ON ota_events
FOR EACH ROW WHEN (NEW.device_id IS NULL) EXECUTE FUNCTION keep_decisions_in_order();

CREATE TRIGGER ota_events_append_only BEFORE UPDATE ON ota_events
FOR EACH ROW WHEN (OLD.rollout_id IS NOT NULL AND NEW.rollout_id IS DISTINCT FROM OLD.rollout_id
  OR OLD.update_id IS NOT NULL AND NEW.update_id IS DISTINCT FROM OLD.update_id
  OR OLD.attempt IS NOT NULL AND NEW.attempt IS DISTINCT FROM OLD.attempt
  OR OLD.published_at IS NOT NULL AND NEW.published_at IS DISTINCT FROM OLD.published_at)
EXECUTE FUNCTION refuse_row();

CREATE TRIGGER device_update_status_no_outcome_by_links BEFORE UPDATE ON device_update_status
FOR EACH ROW WHEN (current_user = 'paku_public' AND NOT (
  NEW.status IN ('sent', 'downloading', 'downloaded', 'installing') AND NEW.completed_at IS NULL AND OLD.completed_at IS NULL
    AND NEW.installed_at IS NULL AND NEW.booted_at IS NULL
  OR NEW.status = 'canceled' AND OLD.status IN ('pending', 'sent')))
EXECUTE FUNCTION refuse_row();

CREATE TRIGGER update_attempts_no_outcome_by_links BEFORE UPDATE ON update_attempts
FOR EACH ROW WHEN (current_user = 'paku_public') EXECUTE FUNCTION refuse_row();

-- Each statement of a volatile function has a new snapshot: the count sees every send of the transaction that had the lock
-- before. A count in the statement that calls it would be older than the lock.
CREATE FUNCTION in_flight_by_value(attribute text, is_exclusive boolean) RETURNS TABLE (value text, in_flight integer)
LANGUAGE plpgsql AS $$
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

-- The clock of the database decides what is old: no function can delete the events of the last week, whatever it says.
CREATE FUNCTION delete_old_events(before timestamptz, max_rows integer) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
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

DO $$ BEGIN
  COMMENT ON FUNCTION keep_decisions_in_order() IS 'Trigger: gives a decision about a rollout the time of the one before it, if its own is up to five minutes earlier.';
  COMMENT ON TRIGGER ota_events_in_order ON ota_events IS 'A decision of a tick bears the time at which the tick began, and a caller may have decided since. The history of a rollout is in the order of its times.';
  COMMENT ON FUNCTION refuse_row() IS 'Trigger: refuses the row.';
  COMMENT ON TRIGGER ota_events_only_own_types ON ota_events IS 'Functions that serve links or store messages record what they saw and what the settings decide, never a decision of a person.';
  COMMENT ON TRIGGER ota_events_append_only ON ota_events IS 'An event gets the update that it belongs to, and the time of its publication, once.';
  COMMENT ON TRIGGER device_update_status_no_outcome_by_links ON device_update_status IS 'Whoever opens links can begin a download or cancel one that has not begun, never end an update otherwise.';
  COMMENT ON TRIGGER update_attempts_no_outcome_by_links ON update_attempts IS 'Whoever opens links does not end attempts.';
  COMMENT ON FUNCTION in_flight_by_value(text, boolean) IS 'Updates in flight, of every rollout, by the value that their devices have of an attribute. With is_exclusive no other such call for the attribute runs before the end of the transaction.';
  COMMENT ON FUNCTION delete_old_events(timestamptz, integer) IS 'Deletes the events that were received before a time, and more than a week ago, among the oldest max_rows. Events of open updates and decisions about open rollouts stay. Returns how many were deleted. No role may delete events otherwise.';
END $$;

CREATE FUNCTION choose_stepping_stones() RETURNS trigger LANGUAGE plpgsql AS $$
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

CREATE TRIGGER rollout_configurations_choose_stepping_stones
BEFORE INSERT OR UPDATE OF firmware_version, device_model, stepping_stones, newest_release_id ON rollout_configurations
FOR EACH ROW EXECUTE FUNCTION choose_stepping_stones();

DO $$ BEGIN
  COMMENT ON FUNCTION choose_stepping_stones() IS 'Notes the newest release when the version or the stepping stones of a rollout are chosen, and clears the stepping stones that were decided for another version.';
  COMMENT ON TRIGGER rollout_configurations_choose_stepping_stones ON rollout_configurations IS 'An upload must not change what a rollout sends.';
END $$;

CREATE FUNCTION void_approval_request() RETURNS trigger LANGUAGE plpgsql AS $$
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

CREATE TRIGGER rollout_configurations_void_approval_request
AFTER UPDATE ON rollout_configurations
FOR EACH ROW WHEN (OLD IS DISTINCT FROM NEW) EXECUTE FUNCTION void_approval_request();

DO $$ BEGIN
  COMMENT ON FUNCTION void_approval_request() IS 'Deletes the request of a rollout that waits for approval, and records that.';
  COMMENT ON TRIGGER rollout_configurations_void_approval_request ON rollout_configurations IS 'A second person approves what the first one requested, so any change of the rollout voids the request.';
END $$;

-- At most five events of a kind an hour: two boards that share one id would record one with each status.
CREATE FUNCTION record_identity_event(device text, kind text, happened timestamptz, detail jsonb) RETURNS void LANGUAGE sql AS $$
  INSERT INTO ota_events (device_id, event_type, received_at, payload, payload_hash)
  SELECT device, kind, happened, detail, md5(detail::text)
  WHERE (SELECT count(*) FROM (
    SELECT FROM ota_events AS e
    WHERE e.device_id = device AND e.event_type = kind AND e.received_at > happened - interval '1 hour' LIMIT 5) AS recent) < 5
  ON CONFLICT DO NOTHING
$$;

CREATE FUNCTION record_identity_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
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

CREATE TRIGGER devices_record_identity_insert AFTER INSERT ON devices
FOR EACH ROW WHEN (NEW.mac_address IS NOT NULL) EXECUTE FUNCTION record_identity_change();

CREATE TRIGGER devices_record_identity_change
AFTER UPDATE OF device_model, mac_address, reported_model, reported_mac ON devices
FOR EACH ROW WHEN ((OLD.device_model, OLD.mac_address, OLD.reported_model, OLD.reported_mac)
  IS DISTINCT FROM (NEW.device_model, NEW.mac_address, NEW.reported_model, NEW.reported_mac))
EXECUTE FUNCTION record_identity_change();

-- Operators who insert a rollout by SQL spell the model as the device does. By its name this trigger runs before the others,
-- which compare the model.
CREATE FUNCTION normalize_model() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.device_model := lower(btrim(NEW.device_model));
  RETURN NEW;
END
$$;

CREATE TRIGGER rollout_configurations_canonical_model BEFORE INSERT OR UPDATE OF device_model ON rollout_configurations
FOR EACH ROW WHEN (NEW.device_model <> lower(btrim(NEW.device_model))) EXECUTE FUNCTION normalize_model();

DO $$ BEGIN
  COMMENT ON FUNCTION record_identity_event(text, text, timestamptz, jsonb) IS 'Records that the identity of a device changed, at most five times an hour for each kind of event.';
  COMMENT ON FUNCTION record_identity_change() IS 'Trigger: records that a device reports another model or MAC address, or the MAC address of another device.';
  COMMENT ON FUNCTION normalize_model() IS 'Trigger: writes the model in lower case, the form in which all models are stored and compared.';
  COMMENT ON TRIGGER devices_record_identity_insert ON devices IS 'Read by the timeline and by what needs attention: a new device with the MAC address of another one.';
  COMMENT ON TRIGGER devices_record_identity_change ON devices IS 'Read by the timeline and by what needs attention: a device that changes its model or MAC address.';
  COMMENT ON TRIGGER rollout_configurations_canonical_model ON rollout_configurations IS 'Read by the assignment of devices, which compares models as they are stored.';
END $$;

CREATE FUNCTION counted_state(status text, completed_at timestamptz, late_success_at timestamptz, late_rollback_at timestamptz)
RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE
  WHEN status = 'success' AND completed_at IS NULL THEN 'on_probation'
  WHEN late_rollback_at IS NOT NULL THEN 'late_rollback'
  WHEN late_success_at IS NOT NULL THEN 'late_success'
  ELSE status END;

CREATE FUNCTION counted_reason(status text, message text) RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE WHEN status IN ('failed', 'rolled_back', 'timed_out') THEN coalesce(message, '') END;

CREATE FUNCTION counted_end(status text, completed_at timestamptz) RETURNS timestamptz LANGUAGE sql IMMUTABLE
RETURN CASE WHEN status IN ('success', 'failed', 'rolled_back', 'timed_out')
  THEN date_bin('10 seconds', completed_at, '2000-01-01T00:00:00Z') END;

CREATE FUNCTION count_new_updates() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
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

CREATE FUNCTION count_changed_updates() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
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

CREATE FUNCTION count_deleted_updates() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
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

CREATE TRIGGER device_update_status_count_insert AFTER INSERT ON device_update_status
REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION count_new_updates();

CREATE TRIGGER device_update_status_count_update AFTER UPDATE ON device_update_status
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION count_changed_updates();

CREATE TRIGGER device_update_status_count_delete AFTER DELETE ON device_update_status
REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION count_deleted_updates();

-- The usual interval of a device that reports more often than before adapts within so many statuses.
CREATE FUNCTION counted_restarts(restarts integer, uptime_seconds bigint) RETURNS integer LANGUAGE sql IMMUTABLE
RETURN CASE WHEN uptime_seconds IS NULL THEN greatest(restarts - 20, 0) ELSE restarts END;

-- A device is presumed offline after three of its usual reports: at least two minutes, at most two days, and an hour
-- while its habit is not known.
CREATE FUNCTION presumed_offline_at(heard_at timestamptz, report_interval_seconds real) RETURNS timestamptz LANGUAGE sql STABLE
RETURN heard_at + make_interval(secs => least(greatest(3 * coalesce(report_interval_seconds, 1200), 120), 172800));

-- A revoked device is not counted. Its restarts stay with the version that it ran.
CREATE FUNCTION count_device_version() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
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

CREATE TRIGGER devices_count_version AFTER INSERT OR DELETE ON devices
FOR EACH ROW EXECUTE FUNCTION count_device_version();

CREATE TRIGGER devices_count_version_change AFTER UPDATE OF device_model, current_firmware_version, revoked_at ON devices
FOR EACH ROW WHEN ((OLD.device_model, OLD.current_firmware_version, OLD.revoked_at IS NULL)
  IS DISTINCT FROM (NEW.device_model, NEW.current_firmware_version, NEW.revoked_at IS NULL))
EXECUTE FUNCTION count_device_version();

DO $$ BEGIN
  COMMENT ON FUNCTION counted_state(text, timestamptz, timestamptz, timestamptz) IS 'State that an update counts in; see update_counts.state.';
  COMMENT ON FUNCTION counted_reason(text, text) IS 'Reason that an update counts under; null if it has not failed.';
  COMMENT ON FUNCTION counted_end(text, timestamptz) IS 'Time that the outcome of an update counts at; null if it is open or canceled.';
  COMMENT ON FUNCTION count_new_updates() IS 'Trigger: adds the inserted rows to update_counts and outcome_counts.';
  COMMENT ON FUNCTION count_changed_updates() IS 'Trigger: adds what the updated rows have changed to update_counts and outcome_counts.';
  COMMENT ON FUNCTION count_deleted_updates() IS 'Trigger: takes the deleted rows from update_counts and outcome_counts.';
  COMMENT ON FUNCTION counted_restarts(integer, bigint) IS 'Restarts of a device as release health counts them. Without an uptime the first 20 on a version do not count: a build may report more often for a while.';
  COMMENT ON FUNCTION presumed_offline_at(timestamptz, real) IS 'When a device that sends nothing more is presumed offline, by its newest message and its reporting habit.';
  COMMENT ON FUNCTION count_device_version() IS 'Trigger: adds the change of the row to version_counts, which does not count revoked devices, and the restarts of a device that leaves a version.';
  COMMENT ON TRIGGER device_update_status_count_insert ON device_update_status IS 'Read by whatever shows the numbers of a rollout: it reads update_counts and outcome_counts.';
  COMMENT ON TRIGGER device_update_status_count_update ON device_update_status IS 'Read by whatever shows the numbers of a rollout: it reads update_counts and outcome_counts.';
  COMMENT ON TRIGGER device_update_status_count_delete ON device_update_status IS 'Read by whatever shows the numbers of a rollout: it reads update_counts and outcome_counts.';
  COMMENT ON TRIGGER devices_count_version ON devices IS 'Read by the overview of the fleet and by lists of releases: they read version_counts.';
  COMMENT ON TRIGGER devices_count_version_change ON devices IS 'Read by the overview of the fleet and by lists of releases: they read version_counts.';
END $$;

-- Views -----------------------------------------------------------------------------------------------------------------

CREATE VIEW device_overview AS
SELECT d.device_id, d.mac_address, d.device_model, d.current_firmware_version, d.last_seen, d.registered_at,
  d.uptime_seconds, d.signal_strength_dbm, d.metadata, u.update_id, u.rollout_name, u.firmware_version AS update_version,
  u.status AS update_status, u.reason AS update_reason, u.progress_percent,
  u.completed_at IS NULL AND u.update_id IS NOT NULL AS is_updating, d.revoked_at, d.revoked_reason, d.revoked_by,
  d.reported_model, d.reported_mac, d.identity_changed_at, d.model_is_assumed
FROM devices AS d
LEFT JOIN LATERAL (
  SELECT o.id AS update_id, r.name AS rollout_name, o.firmware_version, o.status, o.error_message AS reason,
    o.progress_percent, o.completed_at
  FROM device_update_status AS o LEFT JOIN rollout_configurations AS r ON r.id = o.rollout_id
  WHERE o.device_id = d.device_id ORDER BY o.id DESC LIMIT 1
) AS u ON true;

DO $$ BEGIN
  COMMENT ON VIEW device_overview IS 'Devices, each with its newest update. The API and dashboards read it.';
  COMMENT ON COLUMN device_overview.device_id IS 'Id of the device.';
  COMMENT ON COLUMN device_overview.mac_address IS 'MAC address.';
  COMMENT ON COLUMN device_overview.device_model IS 'Model.';
  COMMENT ON COLUMN device_overview.current_firmware_version IS 'Version that the device last reported.';
  COMMENT ON COLUMN device_overview.last_seen IS 'Receive time of its newest status.';
  COMMENT ON COLUMN device_overview.registered_at IS 'Receive time of its oldest message.';
  COMMENT ON COLUMN device_overview.uptime_seconds IS 'Uptime in the newest status.';
  COMMENT ON COLUMN device_overview.signal_strength_dbm IS 'Wi-Fi signal strength in the newest status.';
  COMMENT ON COLUMN device_overview.metadata IS 'Attributes.';
  COMMENT ON COLUMN device_overview.update_id IS 'Newest update. This and what follows of it is null if there is none.';
  COMMENT ON COLUMN device_overview.rollout_name IS 'Rollout of that update. Null: the device began by itself.';
  COMMENT ON COLUMN device_overview.update_version IS 'Version that the update brings.';
  COMMENT ON COLUMN device_overview.update_status IS 'State of the update.';
  COMMENT ON COLUMN device_overview.update_reason IS 'Why it ended without success, or is pending again.';
  COMMENT ON COLUMN device_overview.progress_percent IS 'Progress of its download.';
  COMMENT ON COLUMN device_overview.is_updating IS 'True if the update is open.';
  COMMENT ON COLUMN device_overview.revoked_at IS 'When the identity of the device was revoked.';
  COMMENT ON COLUMN device_overview.revoked_reason IS 'Why the identity was revoked.';
  COMMENT ON COLUMN device_overview.revoked_by IS 'Who revoked the identity.';
  COMMENT ON COLUMN device_overview.reported_model IS 'Model that it reports now, if that differs and nobody has accepted it.';
  COMMENT ON COLUMN device_overview.reported_mac IS 'MAC address that it reports now, if that differs and nobody has accepted it.';
  COMMENT ON COLUMN device_overview.identity_changed_at IS 'Since when it has reported another model or MAC address. No rollout targets it until an operator accepts that.';
  COMMENT ON COLUMN device_overview.model_is_assumed IS 'True if the model was never stated. Only rollouts that name the device by its id target it.';
END $$;

CREATE VIEW update_overview AS
SELECT u.id AS update_id, u.device_id, d.device_model, d.current_firmware_version, u.rollout_id, r.name AS rollout_name,
  u.firmware_version, u.previous_version, u.is_stepping_stone, u.status, u.stage, u.attempt, u.sends,
  u.progress_percent, u.result_code, u.error_message AS reason, u.created_at, u.sent_at, u.acknowledged_at,
  u.installed_at, u.booted_at, u.reported_at, u.deadline_at, u.completed_at, u.unreachable_since, u.late_success_at,
  u.late_rollback_at, u.unverified_at, u.cause, u.is_reclaimable
FROM device_update_status AS u
JOIN devices AS d USING (device_id)
LEFT JOIN rollout_configurations AS r ON r.id = u.rollout_id;

DO $$ BEGIN
  COMMENT ON VIEW update_overview IS 'Device updates with the names that their ids stand for. The API and dashboards read it.';
  COMMENT ON COLUMN update_overview.update_id IS 'Id of the update.';
  COMMENT ON COLUMN update_overview.device_id IS 'The device.';
  COMMENT ON COLUMN update_overview.device_model IS 'Model of the device.';
  COMMENT ON COLUMN update_overview.current_firmware_version IS 'Version that the device last reported.';
  COMMENT ON COLUMN update_overview.rollout_id IS 'The rollout. Null: the device began by itself.';
  COMMENT ON COLUMN update_overview.rollout_name IS 'Name of the rollout.';
  COMMENT ON COLUMN update_overview.firmware_version IS 'Version that the update brings.';
  COMMENT ON COLUMN update_overview.previous_version IS 'Version that the device ran before.';
  COMMENT ON COLUMN update_overview.is_stepping_stone IS 'True if the release is a step on the way to the version of the rollout.';
  COMMENT ON COLUMN update_overview.status IS 'State.';
  COMMENT ON COLUMN update_overview.stage IS 'Stage whose numbers its outcome counts in, from 0.';
  COMMENT ON COLUMN update_overview.attempt IS 'Number of the present attempt; while pending, of the attempts that are used up.';
  COMMENT ON COLUMN update_overview.sends IS 'Commands that may have been delivered.';
  COMMENT ON COLUMN update_overview.progress_percent IS 'Progress of the download, from 0 to 100.';
  COMMENT ON COLUMN update_overview.result_code IS 'Result code that the device reported.';
  COMMENT ON COLUMN update_overview.reason IS 'Why it ended without success, or is pending again.';
  COMMENT ON COLUMN update_overview.created_at IS 'When it was assigned.';
  COMMENT ON COLUMN update_overview.sent_at IS 'When the command of the present attempt was sent.';
  COMMENT ON COLUMN update_overview.acknowledged_at IS 'When the device first reported about the present attempt.';
  COMMENT ON COLUMN update_overview.installed_at IS 'When the image was installed.';
  COMMENT ON COLUMN update_overview.booted_at IS 'When a status first named the new version.';
  COMMENT ON COLUMN update_overview.reported_at IS 'When the newest report came.';
  COMMENT ON COLUMN update_overview.deadline_at IS 'When it is evaluated even if nothing more is heard.';
  COMMENT ON COLUMN update_overview.completed_at IS 'When it ended. Null: it is open.';
  COMMENT ON COLUMN update_overview.unreachable_since IS 'Since when it is pending because the device was not connected.';
  COMMENT ON COLUMN update_overview.late_success_at IS 'When it was found to have succeeded after all.';
  COMMENT ON COLUMN update_overview.late_rollback_at IS 'When the device was found to have left the version that it had proven.';
  COMMENT ON COLUMN update_overview.unverified_at IS 'When the device was found to run the version although it had reported that the verification of the image failed.';
  COMMENT ON COLUMN update_overview.cause IS 'Cause of an end without success.';
  COMMENT ON COLUMN update_overview.is_reclaimable IS 'True if the same rollout may assign the device again.';
END $$;

CREATE VIEW device_timeline AS
SELECT e.device_id, e.received_at AS at, e.event_type AS event, e.rollout_id, e.update_id, e.attempt, NULL::text AS firmware_version,
  e.payload AS detail
FROM ota_events AS e WHERE e.device_id IS NOT NULL
UNION ALL
SELECT u.device_id, u.created_at, CASE WHEN u.rollout_id IS NULL THEN 'began_by_itself' ELSE 'assigned' END, u.rollout_id, u.id,
  NULL, u.firmware_version, jsonb_build_object('stage', u.stage, 'isSteppingStone', u.is_stepping_stone)
FROM device_update_status AS u
UNION ALL
SELECT a.device_id, a.sent_at, 'sent', NULL, a.update_id, a.attempt, a.version,
  jsonb_build_object('family', a.command_family, 'delivery', a.delivery, 'outcome', a.send_result)
FROM update_attempts AS a WHERE a.command_family IS NOT NULL
UNION ALL
SELECT a.device_id, a.ended_at, 'attempt_ended', NULL, a.update_id, a.attempt, a.version,
  jsonb_build_object('status', a.status, 'resultCode', a.result_code, 'reason', a.reason)
FROM update_attempts AS a WHERE a.ended_at IS NOT NULL
UNION ALL
SELECT u.device_id, u.completed_at, 'ended', u.rollout_id, u.id, u.attempt, u.firmware_version,
  jsonb_build_object('status', u.status, 'reason', u.error_message, 'cause', u.cause)
FROM device_update_status AS u WHERE u.completed_at IS NOT NULL
UNION ALL
SELECT u.device_id, u.late_success_at, 'late_success', u.rollout_id, u.id, u.attempt, u.firmware_version, '{}'
FROM device_update_status AS u WHERE u.late_success_at IS NOT NULL
UNION ALL
SELECT u.device_id, u.late_rollback_at, 'late_rollback', u.rollout_id, u.id, u.attempt, u.firmware_version, '{}'
FROM device_update_status AS u WHERE u.late_rollback_at IS NOT NULL
UNION ALL
SELECT u.device_id, u.unverified_at, 'unverified_bytes', u.rollout_id, u.id, u.attempt, u.firmware_version, '{}'
FROM device_update_status AS u WHERE u.unverified_at IS NOT NULL;

DO $$ BEGIN
  COMMENT ON VIEW device_timeline IS 'What happened to a device, from the assignment to the outcome: what it reported, and what was decided about it. The API and dashboards read it, one device at a time.';
  COMMENT ON COLUMN device_timeline.device_id IS 'The device.';
  COMMENT ON COLUMN device_timeline.at IS 'When it happened; of a message its receive time.';
  COMMENT ON COLUMN device_timeline.event IS 'As ota_events.event_type, or assigned, began_by_itself, sent, attempt_ended, ended, late_success, late_rollback, unverified_bytes.';
  COMMENT ON COLUMN device_timeline.rollout_id IS 'The rollout, if the event names it.';
  COMMENT ON COLUMN device_timeline.update_id IS 'The update, if the event is of one.';
  COMMENT ON COLUMN device_timeline.attempt IS 'The attempt, if the event is of one.';
  COMMENT ON COLUMN device_timeline.firmware_version IS 'Version that the update brings; null for what is in ota_events.';
  COMMENT ON COLUMN device_timeline.detail IS 'What else is known, by the kind of event.';
END $$;

CREATE VIEW rollout_overview AS
SELECT r.id AS rollout_id, r.name, r.firmware_version, r.device_model,
  CASE
    WHEN r.aborted_at IS NOT NULL THEN 'aborted'
    WHEN r.completed_at IS NOT NULL THEN 'completed'
    WHEN r.paused_at IS NOT NULL AND r.paused_by = 'orchestrator' THEN 'halted'
    WHEN r.paused_at IS NOT NULL THEN 'paused'
    WHEN NOT r.is_active AND c.devices > 0 THEN 'paused'
    WHEN NOT r.is_active THEN 'draft'
    WHEN r.start_at > now() OR EXISTS (SELECT FROM rollout_configurations AS a WHERE a.id = r.after_rollout_id AND a.completed_at IS NULL)
      THEN 'scheduled'
    ELSE 'active'
  END AS state,
  r.created_at, r.created_by, r.updated_at, r.start_at, r.after_rollout_id, r.end_at, r.paused_at, r.paused_reason, r.paused_by, r.completed_at,
  r.aborted_at, q.action AS requested_action, s.stage, coalesce(p.in_flight, 0) AS in_flight, c.*
FROM rollout_configurations AS r
LEFT JOIN rollout_runtime AS p ON p.rollout_id = r.id
LEFT JOIN rollout_stages AS s ON s.rollout_id = p.rollout_id AND s.stage = p.stage
LEFT JOIN approval_requests AS q ON q.rollout_id = r.id
CROSS JOIN LATERAL (
  SELECT coalesce(sum(u.updates), 0)::integer AS devices,
    coalesce(sum(u.updates) FILTER (WHERE u.state = 'pending'), 0)::integer AS pending,
    coalesce(sum(u.updates) FILTER (WHERE u.state IN ('sent', 'downloading', 'downloaded', 'installing', 'on_probation')),
      0)::integer AS in_progress,
    coalesce(sum(u.updates) FILTER (WHERE u.state = 'success'), 0)::integer AS succeeded,
    coalesce(sum(u.updates) FILTER (WHERE u.state IN ('failed', 'rolled_back', 'timed_out', 'late_success', 'late_rollback')), 0)::integer AS failed,
    coalesce(sum(u.updates) FILTER (WHERE u.state = 'canceled'), 0)::integer AS canceled
  FROM update_counts AS u
  -- While the rollout is stopped, what the stop canceled is the state of its device; a resumption may assign it again.
  WHERE u.rollout_id = r.id AND (NOT u.is_reclaimable OR u.state = 'canceled' AND (r.paused_at IS NOT NULL OR NOT r.is_active))
) AS c;

DO $$ BEGIN
  COMMENT ON VIEW rollout_overview IS 'Rollouts, each with its state and how far it is. The API and dashboards read it.';
  COMMENT ON COLUMN rollout_overview.rollout_id IS 'Id of the rollout.';
  COMMENT ON COLUMN rollout_overview.name IS 'Name of the rollout.';
  COMMENT ON COLUMN rollout_overview.firmware_version IS 'Version that it brings.';
  COMMENT ON COLUMN rollout_overview.device_model IS 'Model whose devices it targets.';
  COMMENT ON COLUMN rollout_overview.state IS 'State: draft, scheduled, active, halted, paused, completed or aborted.';
  COMMENT ON COLUMN rollout_overview.created_at IS 'When it was created.';
  COMMENT ON COLUMN rollout_overview.created_by IS 'Who created it.';
  COMMENT ON COLUMN rollout_overview.updated_at IS 'When it was last changed or decided about.';
  COMMENT ON COLUMN rollout_overview.start_at IS 'When it starts. Null: at once.';
  COMMENT ON COLUMN rollout_overview.after_rollout_id IS 'The rollout that must complete before it starts. Null: none.';
  COMMENT ON COLUMN rollout_overview.end_at IS 'When it is aborted if it has not completed. Null: it has no end date.';
  COMMENT ON COLUMN rollout_overview.paused_at IS 'When it was stopped.';
  COMMENT ON COLUMN rollout_overview.paused_reason IS 'Why it was stopped.';
  COMMENT ON COLUMN rollout_overview.paused_by IS 'Who stopped it.';
  COMMENT ON COLUMN rollout_overview.completed_at IS 'When it completed.';
  COMMENT ON COLUMN rollout_overview.aborted_at IS 'When it was aborted.';
  COMMENT ON COLUMN rollout_overview.requested_action IS 'What waits for the approval of a second person: start, resume, retry or advance. Null: nothing.';
  COMMENT ON COLUMN rollout_overview.stage IS 'Present stage, from 0. Null before the first has begun.';
  COMMENT ON COLUMN rollout_overview.in_flight IS 'Updates that hold a slot of max_in_flight.';
  COMMENT ON COLUMN rollout_overview.devices IS 'Updates that count: the sum of the columns that follow.';
  COMMENT ON COLUMN rollout_overview.pending IS 'Updates whose command of the present attempt is not sent yet.';
  COMMENT ON COLUMN rollout_overview.in_progress IS 'Updates that were sent and have not ended, those on probation included.';
  COMMENT ON COLUMN rollout_overview.succeeded IS 'Updates that were proven.';
  COMMENT ON COLUMN rollout_overview.failed IS 'Updates that failed, rolled back or timed out; late successes and late rollbacks are included.';
  COMMENT ON COLUMN rollout_overview.canceled IS 'Updates that were canceled; those that a resumption may assign again only while the rollout is stopped.';
END $$;

CREATE VIEW rollout_timeline AS
SELECT e.id AS event_id, e.rollout_id, r.name AS rollout_name, r.firmware_version, r.device_model, e.received_at AS at,
  e.event_type AS event, e.payload ->> 'reason' AS reason, e.payload ->> 'by' AS decided_by, e.payload AS detail
FROM ota_events AS e
JOIN rollout_configurations AS r ON r.id = e.rollout_id
WHERE e.device_id IS NULL;

DO $$ BEGIN
  COMMENT ON VIEW rollout_timeline IS 'Decisions about rollouts: what was decided, when, why and by which caller, and the numbers at that moment. The API, dashboards and the events on the bus read it.';
  COMMENT ON COLUMN rollout_timeline.event_id IS 'Id of the decision; pages go by it.';
  COMMENT ON COLUMN rollout_timeline.rollout_id IS 'The rollout.';
  COMMENT ON COLUMN rollout_timeline.rollout_name IS 'Name of the rollout.';
  COMMENT ON COLUMN rollout_timeline.firmware_version IS 'Version that it brings.';
  COMMENT ON COLUMN rollout_timeline.device_model IS 'Model whose devices it targets.';
  COMMENT ON COLUMN rollout_timeline.at IS 'When it was decided.';
  COMMENT ON COLUMN rollout_timeline.event IS 'What was decided, such as rollout_halted or rollout_stage_began.';
  COMMENT ON COLUMN rollout_timeline.reason IS 'Why, as a sentence.';
  COMMENT ON COLUMN rollout_timeline.decided_by IS 'Who decided: orchestrator, the identity of an operator, or SQL.';
  COMMENT ON COLUMN rollout_timeline.detail IS 'The whole decision, with the numbers of the stages at that moment.';
END $$;

-- Of the devices on a version the first 10,000 are read: all of a million devices would say no more.
CREATE VIEW release_health AS
SELECT c.device_model, c.firmware_version, c.devices, c.restarts + r.restarts AS restarts, t.hours AS device_hours,
  (c.restarts + r.restarts) / nullif(t.hours, 0) AS restarts_per_device_hour, r.heard_of, r.silent,
  r.silent::double precision / nullif(r.heard_of, 0) AS share_silent
FROM (
  SELECT device_model, firmware_version, sum(devices)::integer AS devices, sum(restarts)::bigint AS restarts,
    sum(observed_seconds)::bigint AS seconds
  FROM version_counts GROUP BY device_model, firmware_version HAVING sum(devices) > 0 OR sum(observed_seconds) > 0
) AS c
CROSS JOIN LATERAL (
  SELECT coalesce(sum(counted_restarts(s.restarts, s.uptime_seconds)), 0)::bigint AS restarts,
    coalesce(sum(s.observed_seconds), 0)::bigint AS seconds,
    (count(*) FILTER (WHERE s.was_heard))::integer AS heard_of,
    (count(*) FILTER (WHERE s.was_heard
      AND s.last_seen < now() - make_interval(secs => greatest(5 * coalesce(s.report_interval_seconds, 3600), 7200))))::integer AS silent
  FROM (
    SELECT d.restarts, d.uptime_seconds, d.observed_seconds, d.last_seen, d.report_interval_seconds,
      d.revoked_at IS NULL AND d.last_seen >= now() - interval '7 days' AS was_heard
    FROM devices AS d
    -- The range and the order match an index; otherwise the planner expects to find the devices of a rare version early.
    WHERE d.device_model = c.device_model AND d.current_firmware_version >= c.firmware_version
      AND d.current_firmware_version <= c.firmware_version
    ORDER BY d.device_model, d.current_firmware_version LIMIT 10000) AS s
) AS r
CROSS JOIN LATERAL (SELECT (c.seconds + r.seconds) / 3600.0::double precision AS hours) AS t;

DO $$ BEGIN
  COMMENT ON VIEW release_health IS 'Release health: restarts per device-hour and the share of devices gone silent, of each version. The API and dashboards read it. Of the devices on a version 10,000 are read.';
  COMMENT ON COLUMN release_health.device_model IS 'Model.';
  COMMENT ON COLUMN release_health.firmware_version IS 'Version.';
  COMMENT ON COLUMN release_health.devices IS 'Devices that run it, without revoked ones.';
  COMMENT ON COLUMN release_health.restarts IS 'Restarts on it, those of devices that have left it included. The reboot that brought it is not among them.';
  COMMENT ON COLUMN release_health.device_hours IS 'Exposure: the time for which devices were seen to run it, those that have left it included.';
  COMMENT ON COLUMN release_health.restarts_per_device_hour IS 'Restarts divided by device_hours. Null: no exposure.';
  COMMENT ON COLUMN release_health.heard_of IS 'Devices on it that were heard of in the last seven days.';
  COMMENT ON COLUMN release_health.silent IS 'Devices of heard_of that have missed five of their usual reports, at least for two hours.';
  COMMENT ON COLUMN release_health.share_silent IS 'Silent divided by heard_of. Null: no device was heard of.';
END $$;

-- Grants and settings ---------------------------------------------------------------------------------------------------

-- The roles of the functions, see core/db/roles.ts. Each table has a line for each role, also for a role that may do nothing
-- with it; a test says which line is missing, and another one which grant no statement needs.
-- No role but the owner may delete events, releases, rollouts or devices, or change the image of a release.

DO $$ BEGIN
  GRANT SELECT (device_id, device_model, identity_changed_at, revoked_at) ON devices TO paku_public;
  GRANT SELECT (device_id, device_model, current_firmware_version, mac_address, reported_model, reported_mac, identity_changed_at,
      client_id, certificate_id, checked_certificate_id, command_family, online, last_seen, registered_at, uptime_seconds,
      signal_strength_dbm, report_interval_seconds, restarts, observed_seconds, last_status, status_fault, facts, fact_times, model_received_at, model_is_assumed,
      version_received_at, mac_received_at, family_received_at, reachability_received_at),
    INSERT (device_id, device_model, current_firmware_version, mac_address, reported_model, reported_mac, identity_changed_at,
      client_id, certificate_id, command_family, online, last_seen, registered_at, uptime_seconds, signal_strength_dbm, report_interval_seconds, restarts, observed_seconds, last_status,
      status_fault, facts, fact_times, model_received_at, version_received_at, mac_received_at, family_received_at, reachability_received_at),
    UPDATE (device_model, current_firmware_version, mac_address, reported_model, reported_mac, identity_changed_at, client_id,
      certificate_id, command_family, online, last_seen, registered_at, uptime_seconds, signal_strength_dbm,
      report_interval_seconds, restarts,
      observed_seconds, last_status, status_fault, facts, fact_times, model_received_at, version_received_at, mac_received_at, family_received_at,
      reachability_received_at) ON devices TO paku_ingest;
  GRANT SELECT, UPDATE (device_model, model_received_at, checked_certificate_id, mac_address, reported_model, reported_mac, identity_changed_at, command_family,
    family_asked_version, family_received_at, metadata, revoked_at, revoked_reason, revoked_by) ON devices TO paku_control;

  REVOKE ALL ON device_groups FROM paku_public;
  GRANT SELECT (device_id, group_name) ON device_groups TO paku_ingest;
  GRANT SELECT, INSERT, DELETE ON device_groups TO paku_control;

  REVOKE ALL ON device_changes FROM paku_public;
  REVOKE ALL ON device_changes FROM paku_ingest;
  GRANT SELECT, DELETE ON device_changes TO paku_control;

  GRANT SELECT (id, device_model, object_key, file_size, signing_key, signature_expires_at, manifest, manifest_signature,
    revoked_at) ON firmware_releases TO paku_public;
  GRANT SELECT (id, file_size) ON firmware_releases TO paku_ingest;
  GRANT SELECT, INSERT, UPDATE (is_signed, signing_key, signature_expires_at, manifest, manifest_signature, image, warnings,
    revoked_at, revoked_reason, revoked_by) ON firmware_releases TO paku_control;

  REVOKE ALL ON model_chips FROM paku_public;
  REVOKE ALL ON model_chips FROM paku_ingest;
  GRANT SELECT, INSERT ON model_chips TO paku_control;

  REVOKE ALL ON rejected_uploads FROM paku_public;
  REVOKE ALL ON rejected_uploads FROM paku_ingest;
  GRANT SELECT, INSERT, UPDATE, DELETE ON rejected_uploads TO paku_control;

  REVOKE ALL ON upload_requests FROM paku_public;
  REVOKE ALL ON upload_requests FROM paku_ingest;
  GRANT SELECT, INSERT, UPDATE (object_version), DELETE ON upload_requests TO paku_control;

  GRANT SELECT (id, target_filter, max_attempts, attempt_timeout_minutes, boot_timeout_minutes, probation_minutes, is_active,
    paused_at, completed_at, aborted_at) ON rollout_configurations TO paku_public;
  GRANT SELECT (id, target_filter, start_at, after_rollout_id, max_in_flight, max_in_flight_per, jitter_minutes, max_attempts, attempt_timeout_minutes, boot_timeout_minutes,
    probation_minutes, give_up_days, is_active, paused_at, completed_at, aborted_at) ON rollout_configurations TO paku_ingest;
  GRANT SELECT, INSERT, UPDATE ON rollout_configurations TO paku_control;

  GRANT SELECT (rollout_id, is_stopped, in_flight, started_count), UPDATE (in_flight, started_count) ON rollout_runtime
    TO paku_public;
  GRANT SELECT (rollout_id, is_stopped, start_limit, started_count, finished_count, in_flight, sends_until),
    UPDATE (started_count, finished_count, in_flight) ON rollout_runtime TO paku_ingest;
  GRANT SELECT, INSERT, UPDATE ON rollout_runtime TO paku_control;

  REVOKE ALL ON approval_requests FROM paku_public;
  REVOKE ALL ON approval_requests FROM paku_ingest;
  GRANT SELECT, INSERT, UPDATE, DELETE ON approval_requests TO paku_control;

  REVOKE ALL ON rollout_stages FROM paku_public;
  REVOKE ALL ON rollout_stages FROM paku_ingest;
  GRANT SELECT, INSERT, UPDATE, DELETE ON rollout_stages TO paku_control;

  REVOKE ALL ON holds FROM paku_public;
  GRANT SELECT (scope, device_id, group_name, began_at, ended_at) ON holds TO paku_ingest;
  GRANT SELECT, INSERT, UPDATE (began_at, ended_at, ended_by, ended_reason), DELETE ON holds TO paku_control;

  REVOKE ALL ON known_issues FROM paku_public;
  REVOKE ALL ON known_issues FROM paku_ingest;
  GRANT SELECT, INSERT, UPDATE (fixed_version, fixed_at, fixed_by, withdrawn_at, withdrawn_by, withdrawn_reason) ON known_issues
    TO paku_control;

  REVOKE ALL ON rollout_members FROM paku_public;
  REVOKE ALL ON rollout_members FROM paku_ingest;
  GRANT SELECT, INSERT, DELETE ON rollout_members TO paku_control;

  -- Two triggers refuse what evaluating a link does not need: ends, installations, and changes of attempts.
  GRANT SELECT (id, device_id, rollout_id, release_id, firmware_version, previous_version, status, attempt, sends, result_code,
      error_message, report_interval_seconds, restarts_per_hour, next_family, next_delivery, started_at, reported_at, booted_at,
      completed_at, declined_count, evaluated_events, holds_slot, counts_as_started),
    UPDATE (status, attempt, progress_percent, result_code, error_message, cause, unexpected_version, not_before, enqueue_after,
      next_family, next_delivery, unreachable_since, sent_at, started_at, acknowledged_at, reported_at, installed_at, booted_at,
      deadline_at, completed_at, evaluated_events, holds_slot, counts_as_started, is_reclaimable) ON device_update_status
    TO paku_public;
  GRANT SELECT (id, device_id, rollout_id, release_id, firmware_version, previous_version, status, attempt, sends, result_code,
      error_message, cause, report_interval_seconds, restarts_per_hour, created_at, not_before, spread_at, next_family,
      next_delivery, unreachable_since, sent_at, started_at, acknowledged_at, reported_at, booted_at, completed_at,
      late_success_at, late_rollback_at, unverified_at, declined_count, evaluated_events, holds_slot,
      counts_as_started, is_counted, is_reclaimable, failed_before),
    INSERT (device_id, firmware_version, previous_version, status, attempt, sent_at, started_at, reported_at, deadline_at),
    UPDATE (status, attempt, progress_percent, result_code, error_message, cause, unexpected_version, not_before, spread_at, enqueue_after,
      next_family, next_delivery, unreachable_since, sent_at, started_at, acknowledged_at, reported_at, installed_at, booted_at,
      deadline_at, completed_at, late_success_at, late_rollback_at, unverified_at, declined_count, evaluated_events, holds_slot,
      counts_as_started, is_counted) ON device_update_status TO paku_ingest;
  GRANT SELECT, INSERT, UPDATE, DELETE ON device_update_status TO paku_control;

  GRANT SELECT (update_id, attempt, device_id, version, command_family, delivery, sent_at, send_result),
    UPDATE (ended_at, status, result_code, reason) ON update_attempts TO paku_public;
  GRANT SELECT (update_id, attempt, device_id, version, command_family, delivery, sent_at, send_result),
    INSERT (update_id, attempt, device_id, version, sent_at),
    UPDATE (ended_at, status, result_code, reason) ON update_attempts TO paku_ingest;
  GRANT SELECT, INSERT, UPDATE, DELETE ON update_attempts TO paku_control;

  GRANT SELECT (device_id, update_id, attempt, event_type, state, received_at, payload, payload_hash),
    INSERT (device_id, rollout_id, update_id, attempt, event_type, state, received_at, payload, payload_hash) ON ota_events
    TO paku_public;
  GRANT SELECT (device_id, rollout_id, update_id, attempt, event_type, state, received_at, payload, payload_hash),
    INSERT (device_id, rollout_id, update_id, attempt, event_type, state, received_at, payload, payload_hash),
    UPDATE (rollout_id, update_id, attempt) ON ota_events TO paku_ingest;
  GRANT SELECT, INSERT, UPDATE (published_at) ON ota_events TO paku_control;

  REVOKE ALL ON rejected_messages FROM paku_public;
  GRANT SELECT (topic, received_at, payload_sha256), INSERT (topic, device_id, client_id, reason, payload, payload_bytes,
    payload_sha256, received_at) ON rejected_messages TO paku_ingest;
  GRANT SELECT, DELETE ON rejected_messages TO paku_control;

  REVOKE ALL ON refused_clients FROM paku_public;
  GRANT SELECT (client_id, reason, times, first_at, last_at), INSERT (client_id, reason, times, first_at, last_at),
    UPDATE (reason, times, first_at, last_at), DELETE ON refused_clients TO paku_ingest;
  GRANT SELECT ON refused_clients TO paku_control;

  REVOKE ALL ON ingestion_progress FROM paku_public;
  GRANT SELECT (queue, processed_at, lag_seconds), INSERT (queue, processed_at, lag_seconds), UPDATE (processed_at, lag_seconds)
    ON ingestion_progress TO paku_ingest;
  GRANT SELECT, INSERT, UPDATE ON ingestion_progress TO paku_control;

  REVOKE ALL ON update_counts FROM paku_public;
  REVOKE ALL ON update_counts FROM paku_ingest;
  GRANT SELECT, INSERT, DELETE ON update_counts TO paku_control;

  REVOKE ALL ON outcome_counts FROM paku_public;
  REVOKE ALL ON outcome_counts FROM paku_ingest;
  GRANT SELECT, INSERT, DELETE ON outcome_counts TO paku_control;

  REVOKE ALL ON version_counts FROM paku_public;
  REVOKE ALL ON version_counts FROM paku_ingest;
  GRANT SELECT, INSERT, DELETE ON version_counts TO paku_control;

  REVOKE ALL ON fleet_versions FROM paku_public;
  REVOKE ALL ON fleet_versions FROM paku_ingest;
  GRANT SELECT, INSERT, DELETE ON fleet_versions TO paku_control;

  GRANT SELECT (device_id, provisioned_at, claim_certificate_id, certificates),
    UPDATE (provisioned_at, claim_certificate_id, certificates) ON allowed_devices TO paku_public;
  GRANT SELECT (device_id, device_model, mac_address) ON allowed_devices TO paku_ingest;
  GRANT SELECT, INSERT, UPDATE, DELETE ON allowed_devices TO paku_control;

  REVOKE ALL ON leases FROM paku_public;
  REVOKE ALL ON leases FROM paku_ingest;
  GRANT SELECT, INSERT, UPDATE, DELETE ON leases TO paku_control;

  REVOKE ALL ON schema_migrations FROM paku_public;
  REVOKE ALL ON schema_migrations FROM paku_ingest;
  GRANT SELECT ON schema_migrations TO paku_control;

  REVOKE ALL ON device_overview FROM paku_public;
  REVOKE ALL ON device_overview FROM paku_ingest;
  GRANT SELECT ON device_overview TO paku_control;
  REVOKE ALL ON update_overview FROM paku_public;
  REVOKE ALL ON update_overview FROM paku_ingest;
  GRANT SELECT ON update_overview TO paku_control;
  REVOKE ALL ON device_timeline FROM paku_public;
  REVOKE ALL ON device_timeline FROM paku_ingest;
  GRANT SELECT ON device_timeline TO paku_control;
  REVOKE ALL ON rollout_overview FROM paku_public;
  REVOKE ALL ON rollout_overview FROM paku_ingest;
  GRANT SELECT ON rollout_overview TO paku_control;
  REVOKE ALL ON rollout_timeline FROM paku_public;
  REVOKE ALL ON rollout_timeline FROM paku_ingest;
  GRANT SELECT ON rollout_timeline TO paku_control;
  REVOKE ALL ON release_health FROM paku_public;
  REVOKE ALL ON release_health FROM paku_ingest;
  GRANT SELECT ON release_health TO paku_control;

  GRANT EXECUTE ON FUNCTION delete_old_events, in_flight_by_value TO paku_control;
END $$;

-- A role that may create tables could otherwise run these with rows of its own.
REVOKE EXECUTE ON FUNCTION record_device_change, record_identity_change, count_new_updates, count_changed_updates,
  count_deleted_updates, count_device_version, delete_old_events FROM PUBLIC;
-- It can keep dispatch waiting.
REVOKE EXECUTE ON FUNCTION in_flight_by_value FROM PUBLIC;

-- Plans over many devices are dear by estimate and run in milliseconds, while compiling one takes seconds. A role that
-- does not own the database goes without this setting.
DO $$
BEGIN
  EXECUTE format('ALTER DATABASE %I SET jit = off', current_database());
EXCEPTION WHEN insufficient_privilege THEN
  NULL;
END
$$;

-- By default every role may create temporary tables, which fill the storage that Aurora bills.
DO $$
BEGIN
  EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
END
$$;
