-- A percentage that is raised while a rollout runs lets more members take part: which one the threshold was fixed for.
ALTER TABLE rollout_configurations
  ADD COLUMN member_percentage integer;

UPDATE rollout_configurations SET member_percentage = rollout_percentage WHERE target_hash_cutoff IS NOT NULL;
