-- A rollout that the orchestrator stopped is halted; one that a person stopped is paused.
CREATE OR REPLACE VIEW rollout_overview AS
SELECT r.id AS rollout_id, r.name, r.firmware_version, r.device_model,
  CASE
    WHEN r.aborted_at IS NOT NULL THEN 'aborted'
    WHEN r.completed_at IS NOT NULL THEN 'completed'
    WHEN r.paused_at IS NOT NULL AND r.paused_by = 'orchestrator' THEN 'halted'
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
