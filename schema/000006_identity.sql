-- Devices whose identity was revoked, and devices that may ask for one by provisioning claim.

ALTER TABLE devices
  ADD COLUMN revoked_at     timestamptz,
  ADD COLUMN revoked_reason text,
  ADD COLUMN revoked_by     text;

CREATE INDEX devices_revoked_idx ON devices (device_id) WHERE revoked_at IS NOT NULL;

-- Who may ask AWS IoT for a certificate with a provisioning claim. An entry is used up a while after its first use, so
-- that a claim that leaks gives nobody the name of a device that has been provisioned.
CREATE TABLE allowed_devices (
  device_id      text PRIMARY KEY,
  allowed_at     timestamptz NOT NULL,
  allowed_by     text NOT NULL,
  -- The first time that it was asked for.
  provisioned_at timestamptz,
  CONSTRAINT allowed_devices_device_id_check CHECK (device_id ~ '^[A-Za-z0-9_:-]{1,64}$')
);

CREATE OR REPLACE VIEW device_overview AS
SELECT d.device_id, d.mac_address, d.device_model, d.current_firmware_version, d.last_seen, d.registered_at, d.online,
  d.uptime_seconds, d.signal_strength_dbm, d.metadata, u.update_id, u.rollout_name, u.firmware_version AS update_version,
  u.status AS update_status, u.reason AS update_reason, u.progress_percent, u.completed_at IS NULL AND u.update_id IS NOT NULL AS is_updating,
  d.revoked_at, d.revoked_reason, d.revoked_by
FROM devices AS d
LEFT JOIN LATERAL (
  SELECT o.id AS update_id, r.name AS rollout_name, o.firmware_version, o.status, o.error_message AS reason,
    o.progress_percent, o.completed_at
  FROM device_update_status AS o LEFT JOIN rollout_configurations AS r ON r.id = o.rollout_id
  WHERE o.device_id = d.device_id ORDER BY o.id DESC LIMIT 1
) AS u ON true;

GRANT SELECT, INSERT, UPDATE, DELETE ON allowed_devices TO paku_app;
