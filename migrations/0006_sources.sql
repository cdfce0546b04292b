-- How a video's file looked when it was last stored: one that looks the same is not read again by an ingest of changes.
alter table videos add column fingerprint text;
