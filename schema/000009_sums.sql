-- Which rows of the ledgers are sums: a tick has to look at those alone that entries were added to since.

ALTER TABLE update_counts ADD COLUMN is_compacted boolean NOT NULL DEFAULT false;
ALTER TABLE outcome_counts ADD COLUMN is_compacted boolean NOT NULL DEFAULT false;
ALTER TABLE version_counts ADD COLUMN is_compacted boolean NOT NULL DEFAULT false;

CREATE INDEX update_counts_entries_idx ON update_counts (rollout_id) WHERE NOT is_compacted;
CREATE INDEX outcome_counts_entries_idx ON outcome_counts (rollout_id, ended_at) WHERE NOT is_compacted;
CREATE INDEX version_counts_entries_idx ON version_counts (device_model, firmware_version) WHERE NOT is_compacted;

CREATE INDEX version_counts_version_idx ON version_counts (device_model, firmware_version);

-- By device first: whether a rollout has claimed a device before is read from this index alone.
DROP INDEX device_update_status_claim_idx;

CREATE UNIQUE INDEX device_update_status_claim_idx ON device_update_status (device_id, rollout_id, firmware_version)
  WHERE NOT is_reclaimable;
