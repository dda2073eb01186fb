/**
 * Records an operator's change in the timeline of each device, with the operator's name. Reads `changed` (device_id,
 * event, payload) and the parameters `now` and `by`.
 */
export const INSERT_DEVICE_EVENT = `INSERT INTO ota_events (device_id, event_type, received_at, payload, payload_hash)
     SELECT device_id, event, :now::timestamptz, payload || jsonb_build_object('by', :by::text), md5(payload::text)
     FROM changed ORDER BY device_id
     ON CONFLICT DO NOTHING`;
