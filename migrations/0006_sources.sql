-- How a video looked in its source when it was last found to be as stored: size and time of change, or S3's ETag, of it
-- and its side-cars. Null: not known, so a look for changes takes it as changed.
alter table videos add column fingerprint text;

-- Absolute paths and S3 keys are longer than what a b-tree holds (2,704 bytes). Both digests are of the path; the ledger
-- compares the paths themselves under its lock.
create unique index ingest_items_once on ingest_items (operation, video, md5(path));
alter table ingest_items drop constraint ingest_items_operation_path_key;
