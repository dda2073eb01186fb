-- The overview counts the rejections of the last day, and asks every few seconds.
CREATE INDEX rejected_messages_received_idx ON rejected_messages (received_at);
