-- How many devices of a rollout are in which state, when its outcomes came, and how many devices run which version, without
-- counting rows. Whoever changes a row adds an entry to these ledgers; a count is the sum of its entries, so that no writer
-- waits for another, and once in a while a sum takes the place of its entries.

CREATE TABLE update_counts (
  rollout_id     bigint NOT NULL,
  stage          integer NOT NULL,
  -- As device_update_status.status, but `on_probation` for a success that is not final yet.
  state          text NOT NULL,
  is_reclaimable boolean NOT NULL,
  -- Why it failed; null for what has not.
  reason         text,
  updates        bigint NOT NULL
);

CREATE INDEX update_counts_rollout_idx ON update_counts (rollout_id);

CREATE TABLE outcome_counts (
  rollout_id bigint NOT NULL,
  -- In steps of ten seconds.
  ended_at   timestamptz NOT NULL,
  is_success boolean NOT NULL,
  updates    bigint NOT NULL
);

CREATE INDEX outcome_counts_rollout_idx ON outcome_counts (rollout_id, ended_at);

CREATE TABLE version_counts (
  device_model     text NOT NULL,
  firmware_version text NOT NULL,
  devices          bigint NOT NULL
);

CREATE FUNCTION counted_state(status text, completed_at timestamptz) RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE WHEN status = 'success' AND completed_at IS NULL THEN 'on_probation' ELSE status END;

CREATE FUNCTION counted_reason(status text, message text) RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE WHEN status IN ('failed', 'rolled_back', 'timed_out') THEN coalesce(message, '') END;

-- Null for what is no outcome.
CREATE FUNCTION counted_end(status text, completed_at timestamptz) RETURNS timestamptz LANGUAGE sql IMMUTABLE
RETURN CASE WHEN status IN ('success', 'failed', 'rolled_back', 'timed_out')
  THEN date_bin('10 seconds', completed_at, '2000-01-01T00:00:00Z') END;

ALTER TABLE device_update_status
  -- Given up, and claimed again since by the same rollout: the later row counts.
  ADD COLUMN is_replaced boolean NOT NULL DEFAULT false;

UPDATE device_update_status AS o SET is_replaced = true
WHERE o.is_reclaimable AND EXISTS (
  SELECT FROM device_update_status AS n WHERE n.device_id = o.device_id AND n.rollout_id = o.rollout_id AND n.id > o.id);

INSERT INTO update_counts
SELECT rollout_id, stage, counted_state(status, completed_at), is_reclaimable, counted_reason(status, error_message), count(*)
FROM device_update_status WHERE rollout_id IS NOT NULL AND NOT is_replaced GROUP BY 1, 2, 3, 4, 5;

INSERT INTO outcome_counts
SELECT rollout_id, counted_end(status, completed_at), status = 'success', count(*)
FROM device_update_status WHERE rollout_id IS NOT NULL AND counted_end(status, completed_at) IS NOT NULL GROUP BY 1, 2, 3;

INSERT INTO version_counts
SELECT device_model, current_firmware_version, count(*) FROM devices GROUP BY 1, 2;

CREATE FUNCTION count_new_updates() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO update_counts
  SELECT rollout_id, stage, counted_state(status, completed_at), is_reclaimable, counted_reason(status, error_message), count(*)
  FROM new_rows WHERE rollout_id IS NOT NULL AND NOT is_replaced GROUP BY 1, 2, 3, 4, 5;
  INSERT INTO outcome_counts
  SELECT rollout_id, counted_end(status, completed_at), status = 'success', count(*)
  FROM new_rows WHERE rollout_id IS NOT NULL AND counted_end(status, completed_at) IS NOT NULL GROUP BY 1, 2, 3;
  RETURN NULL;
END
$$;

CREATE FUNCTION count_changed_updates() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO update_counts
  SELECT rollout_id, stage, counted_state(status, completed_at), is_reclaimable, counted_reason(status, error_message), sum(n)
  FROM (SELECT *, 1 AS n FROM new_rows UNION ALL SELECT *, -1 FROM old_rows) AS changed
  WHERE rollout_id IS NOT NULL AND NOT is_replaced GROUP BY 1, 2, 3, 4, 5 HAVING sum(n) <> 0;
  INSERT INTO outcome_counts
  SELECT rollout_id, counted_end(status, completed_at), status = 'success', sum(n)
  FROM (SELECT *, 1 AS n FROM new_rows UNION ALL SELECT *, -1 FROM old_rows) AS changed
  WHERE rollout_id IS NOT NULL AND counted_end(status, completed_at) IS NOT NULL GROUP BY 1, 2, 3 HAVING sum(n) <> 0;
  RETURN NULL;
END
$$;

CREATE FUNCTION count_deleted_updates() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO update_counts
  SELECT rollout_id, stage, counted_state(status, completed_at), is_reclaimable, counted_reason(status, error_message), -count(*)
  FROM old_rows WHERE rollout_id IS NOT NULL AND NOT is_replaced GROUP BY 1, 2, 3, 4, 5;
  INSERT INTO outcome_counts
  SELECT rollout_id, counted_end(status, completed_at), status = 'success', -count(*)
  FROM old_rows WHERE rollout_id IS NOT NULL AND counted_end(status, completed_at) IS NOT NULL GROUP BY 1, 2, 3;
  RETURN NULL;
END
$$;

CREATE TRIGGER updates_counted_in AFTER INSERT ON device_update_status
REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION count_new_updates();

CREATE TRIGGER updates_counted_anew AFTER UPDATE ON device_update_status
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION count_changed_updates();

CREATE TRIGGER updates_counted_out AFTER DELETE ON device_update_status
REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION count_deleted_updates();

CREATE FUNCTION count_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    INSERT INTO version_counts VALUES (OLD.device_model, OLD.current_firmware_version, -1);
  END IF;
  IF TG_OP <> 'DELETE' THEN
    INSERT INTO version_counts VALUES (NEW.device_model, NEW.current_firmware_version, 1);
  END IF;
  RETURN NULL;
END
$$;

CREATE TRIGGER version_counted AFTER INSERT OR DELETE ON devices FOR EACH ROW EXECUTE FUNCTION count_version();

CREATE TRIGGER version_counted_anew AFTER UPDATE OF device_model, current_firmware_version ON devices
FOR EACH ROW WHEN ((OLD.device_model, OLD.current_firmware_version)
  IS DISTINCT FROM (NEW.device_model, NEW.current_firmware_version))
EXECUTE FUNCTION count_version();

-- Pages of a rollout's updates, of all and of those that are open.
CREATE INDEX device_update_status_page_idx ON device_update_status (rollout_id, id);

CREATE INDEX device_update_status_open_page_idx ON device_update_status (rollout_id, id) WHERE completed_at IS NULL;

-- What has yet to show that it survives: few at a time.
CREATE INDEX device_update_status_confirming_idx ON device_update_status (rollout_id, deadline_at)
  WHERE status = 'success' AND completed_at IS NULL;

CREATE OR REPLACE VIEW rollout_overview AS
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
  SELECT coalesce(sum(u.updates), 0)::integer AS devices,
    coalesce(sum(u.updates) FILTER (WHERE u.state = 'pending'), 0)::integer AS owed,
    coalesce(sum(u.updates) FILTER (WHERE u.state IN ('sent', 'downloading', 'downloaded', 'installing', 'on_probation')),
      0)::integer AS in_progress,
    coalesce(sum(u.updates) FILTER (WHERE u.state = 'success'), 0)::integer AS succeeded,
    coalesce(sum(u.updates) FILTER (WHERE u.state IN ('failed', 'rolled_back', 'timed_out')), 0)::integer AS failed,
    coalesce(sum(u.updates) FILTER (WHERE u.state = 'canceled'), 0)::integer AS canceled
  FROM update_counts AS u
  -- What a halt canceled may be claimed again once the rollout goes on; until then it is what became of the device.
  WHERE u.rollout_id = r.id AND (NOT u.is_reclaimable OR u.state = 'canceled' AND (r.paused_at IS NOT NULL OR NOT r.is_active))
) AS c;

GRANT SELECT, INSERT, DELETE ON update_counts, outcome_counts, version_counts TO paku_app;
