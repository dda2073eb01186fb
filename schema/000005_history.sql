-- Old updates are found by when they ended, whatever goes on beside them.
CREATE INDEX device_update_status_closed_idx ON device_update_status (completed_at) WHERE completed_at IS NOT NULL;

-- A rollout that was stopped by `is_active = false` shows what that canceled, as a paused one does.
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
  SELECT count(*)::integer AS devices,
    (count(*) FILTER (WHERE u.status = 'pending'))::integer AS owed,
    (count(*) FILTER (WHERE u.status IN ('sent', 'downloading', 'downloaded', 'installing')
      OR u.status = 'success' AND u.completed_at IS NULL))::integer AS in_progress,
    (count(*) FILTER (WHERE u.status = 'success' AND u.completed_at IS NOT NULL))::integer AS succeeded,
    (count(*) FILTER (WHERE u.status IN ('failed', 'rolled_back', 'timed_out')))::integer AS failed,
    (count(DISTINCT u.device_id) FILTER (WHERE u.status = 'canceled'))::integer AS canceled
  FROM device_update_status AS u
  -- What a halt canceled may be claimed again once the rollout goes on; until then it is what became of the device.
  WHERE u.rollout_id = r.id AND (NOT u.is_reclaimable OR u.status = 'canceled' AND (r.paused_at IS NOT NULL OR NOT r.is_active))
) AS c;
