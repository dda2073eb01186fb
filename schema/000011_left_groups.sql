-- Who leaves a group may be claimed by a rollout that another one, which is for the group, kept it from.
CREATE OR REPLACE TRIGGER device_joined_group AFTER INSERT OR UPDATE OR DELETE ON device_groups
FOR EACH ROW EXECUTE FUNCTION note_device_change();
