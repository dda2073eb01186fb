-- Which rows of the ledgers are sums: a tick has to look at those alone that entries were added to since.

ALTER TABLE update_counts ADD COLUMN is_sum boolean NOT NULL DEFAULT false;
ALTER TABLE outcome_counts ADD COLUMN is_sum boolean NOT NULL DEFAULT false;
ALTER TABLE version_counts ADD COLUMN is_sum boolean NOT NULL DEFAULT false;

CREATE INDEX update_counts_entries_idx ON update_counts (rollout_id) WHERE NOT is_sum;
CREATE INDEX outcome_counts_entries_idx ON outcome_counts (rollout_id, ended_at) WHERE NOT is_sum;
CREATE INDEX version_counts_entries_idx ON version_counts (device_model, firmware_version) WHERE NOT is_sum;

CREATE INDEX version_counts_version_idx ON version_counts (device_model, firmware_version);
