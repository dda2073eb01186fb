-- What one tick costs depends on what has changed, not on how large the fleet is: a rollout walks through its devices once,
-- and from then on looks at those alone of which something has changed that decides whether they may be claimed.

-- Each such change, with the transaction that made it: what a snapshot does not see yet has a number that is not below its
-- xmin, so that no change is ever passed over, whatever commits when.
CREATE TABLE device_changes (
  device_id  text NOT NULL,
  changed_in xid8 NOT NULL DEFAULT pg_current_xact_id()
);

CREATE INDEX device_changes_idx ON device_changes (changed_in);

CREATE FUNCTION note_device_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO device_changes (device_id) VALUES (coalesce(NEW.device_id, OLD.device_id));
  RETURN NULL;
END
$$;

CREATE TRIGGER device_joined AFTER INSERT ON devices
FOR EACH ROW EXECUTE FUNCTION note_device_change();

-- Not what a heartbeat changes.
CREATE TRIGGER device_changed AFTER UPDATE OF device_model, current_firmware_version, mac_address, metadata, revoked_at ON devices
FOR EACH ROW WHEN ((OLD.device_model, OLD.current_firmware_version, OLD.mac_address, OLD.metadata, OLD.revoked_at)
  IS DISTINCT FROM (NEW.device_model, NEW.current_firmware_version, NEW.mac_address, NEW.metadata, NEW.revoked_at))
EXECUTE FUNCTION note_device_change();

CREATE TRIGGER device_joined_group AFTER INSERT OR UPDATE ON device_groups
FOR EACH ROW EXECUTE FUNCTION note_device_change();

-- A device whose update has ended may be claimed by another rollout, or again.
CREATE TRIGGER device_freed AFTER UPDATE OF completed_at ON device_update_status
FOR EACH ROW WHEN (OLD.completed_at IS NULL AND NEW.completed_at IS NOT NULL AND NEW.rollout_id IS NOT NULL)
EXECUTE FUNCTION note_device_change();

CREATE TRIGGER device_let_go AFTER DELETE ON device_update_status
FOR EACH ROW WHEN (OLD.completed_at IS NULL AND OLD.rollout_id IS NOT NULL) EXECUTE FUNCTION note_device_change();

ALTER TABLE rollout_runtime
  -- What the present walk goes by: where that changes, a walk begins anew.
  ADD COLUMN scan_fingerprint    text,
  -- The walk has come past this device; null: it is over.
  ADD COLUMN scan_cursor    text,
  -- Changes since this transaction have yet to be looked at.
  ADD COLUMN changes_from_xid xid8;

-- The order of a walk.
CREATE INDEX devices_walk_idx ON devices (device_model, device_id COLLATE "C");

GRANT SELECT, INSERT, DELETE ON device_changes TO paku_app;

-- Plans over many devices are dear by estimate and run in milliseconds; compiling one takes seconds. Whoever does not own
-- the database does without.
DO $$
BEGIN
  EXECUTE format('ALTER DATABASE %I SET jit = off', current_database());
EXCEPTION WHEN insufficient_privilege THEN
  NULL;
END
$$;
