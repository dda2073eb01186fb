-- What operators see and do: revoked releases, who made a rollout, the fleet over time, and views that dashboards read
-- as they are.

ALTER TABLE firmware_releases
  ADD COLUMN revoked_at     timestamptz,
  ADD COLUMN revoked_reason text,
  ADD COLUMN revoked_by     text;

ALTER TABLE rollout_configurations
  ADD COLUMN created_by text;

-- How many devices ran which version, every few minutes while the service is awake.
CREATE TABLE fleet_versions (
  sampled_at       timestamptz NOT NULL,
  device_model     text NOT NULL,
  firmware_version text NOT NULL,
  devices          integer NOT NULL,
  PRIMARY KEY (sampled_at, device_model, firmware_version)
);

-- People search by the beginning of an id, of what follows its last hyphen, or of a MAC address.
CREATE INDEX devices_id_search_idx ON devices (lower(device_id) text_pattern_ops);

CREATE INDEX devices_suffix_search_idx ON devices (lower(regexp_replace(device_id, '^.*-', '')) text_pattern_ops);

CREATE INDEX devices_mac_search_idx ON devices (mac_address text_pattern_ops);

CREATE INDEX devices_last_seen_idx ON devices (last_seen);

CREATE INDEX device_groups_device_idx ON device_groups (device_id);

CREATE INDEX device_update_status_progress_idx ON device_update_status (rollout_id, status, id);

CREATE INDEX ota_events_decisions_idx ON ota_events (id) WHERE device_id IS NULL;

-- One row a rollout with its state and how far it is.
CREATE VIEW rollout_overview AS
SELECT r.id AS rollout_id, r.name, r.firmware_version, r.device_model,
  CASE
    WHEN r.aborted_at IS NOT NULL THEN 'aborted'
    WHEN r.completed_at IS NOT NULL THEN 'completed'
    WHEN r.paused_at IS NOT NULL THEN 'paused'
    WHEN NOT r.is_active AND c.devices > 0 THEN 'paused'
    WHEN NOT r.is_active THEN 'draft'
    WHEN r.start_at > now() THEN 'scheduled'
    ELSE 'active'
  END AS state,
  r.created_at, r.created_by, r.updated_at, r.start_at, r.paused_at, r.paused_reason, r.paused_by, r.completed_at,
  r.aborted_at, p.stage, coalesce(p.in_flight, 0) AS in_flight, c.*
FROM rollout_configurations AS r
LEFT JOIN rollout_runtime AS p ON p.rollout_id = r.id
CROSS JOIN LATERAL (
  SELECT count(*)::integer AS devices,
    (count(*) FILTER (WHERE u.status = 'pending'))::integer AS owed,
    (count(*) FILTER (WHERE u.status IN ('sent', 'downloading', 'downloaded', 'installing')
      OR u.status = 'success' AND u.completed_at IS NULL))::integer AS in_progress,
    (count(*) FILTER (WHERE u.status = 'success' AND u.completed_at IS NOT NULL))::integer AS succeeded,
    (count(*) FILTER (WHERE u.status IN ('failed', 'rolled_back', 'timed_out')))::integer AS failed,
    (count(DISTINCT u.device_id) FILTER (WHERE u.status = 'canceled'))::integer AS canceled
  FROM device_update_status AS u
  -- What a halt canceled may be claimed again once the rollout goes on; until then it is what became of the device.
  WHERE u.rollout_id = r.id AND (NOT u.is_reclaimable OR u.status = 'canceled' AND r.paused_at IS NOT NULL)
) AS c;

-- One row a device update with the names that its ids stand for.
CREATE VIEW update_overview AS
SELECT u.id AS update_id, u.device_id, d.device_model, d.current_firmware_version, u.rollout_id, r.name AS rollout_name,
  u.firmware_version, u.previous_version, u.is_stepping_stone, u.status, u.stage, u.attempt, u.sends,
  u.progress_percent, u.result_code, u.error_message AS reason, u.created_at, u.sent_at, u.acknowledged_at,
  u.installed_at, u.booted_at, u.reported_at, u.deadline_at, u.completed_at, u.unreachable_since, u.late_success_at,
  u.is_reclaimable
FROM device_update_status AS u
JOIN devices AS d USING (device_id)
LEFT JOIN rollout_configurations AS r ON r.id = u.rollout_id;

-- One row a device with its newest update.
CREATE VIEW device_overview AS
SELECT d.device_id, d.mac_address, d.device_model, d.current_firmware_version, d.last_seen, d.registered_at, d.online,
  d.uptime_seconds, d.signal_strength_dbm, d.metadata, u.update_id, u.rollout_name, u.firmware_version AS update_version,
  u.status AS update_status, u.reason AS update_reason, u.progress_percent, u.completed_at IS NULL AND u.update_id IS NOT NULL AS is_updating
FROM devices AS d
LEFT JOIN LATERAL (
  SELECT o.id AS update_id, r.name AS rollout_name, o.firmware_version, o.status, o.error_message AS reason,
    o.progress_percent, o.completed_at
  FROM device_update_status AS o LEFT JOIN rollout_configurations AS r ON r.id = o.rollout_id
  WHERE o.device_id = d.device_id ORDER BY o.id DESC LIMIT 1
) AS u ON true;

-- Everything that happened to a device, from the claim to the outcome: what it said, and what was decided about it.
CREATE VIEW device_timeline AS
SELECT e.device_id, e.received_at AS at, e.event_type AS event, e.rollout_id, e.update_id, e.attempt, NULL::text AS firmware_version,
  e.payload AS detail
FROM ota_events AS e WHERE e.device_id IS NOT NULL
UNION ALL
SELECT u.device_id, u.created_at, CASE WHEN u.rollout_id IS NULL THEN 'began_by_itself' ELSE 'claimed' END, u.rollout_id, u.id,
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
  jsonb_build_object('status', u.status, 'reason', u.error_message)
FROM device_update_status AS u WHERE u.completed_at IS NOT NULL
UNION ALL
SELECT u.device_id, u.late_success_at, 'late_success', u.rollout_id, u.id, u.attempt, u.firmware_version, '{}'
FROM device_update_status AS u WHERE u.late_success_at IS NOT NULL;

-- Every decision about a rollout: what, when, why, by whom, and the numbers at that moment.
CREATE VIEW rollout_timeline AS
SELECT e.id AS event_id, e.rollout_id, r.name AS rollout_name, r.firmware_version, r.device_model, e.received_at AS at,
  e.event_type AS event, e.payload ->> 'reason' AS reason, e.payload ->> 'by' AS decided_by, e.payload AS detail
FROM ota_events AS e
JOIN rollout_configurations AS r ON r.id = e.rollout_id
WHERE e.device_id IS NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO paku_app;

REVOKE INSERT, UPDATE, DELETE ON schema_migrations FROM paku_app;
