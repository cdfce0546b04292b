-- An attempt at a step that is thought dead may still write. Parts of traces have numbers that are given once, as those of
-- documents have; the parts with fixed names (configuration, schemas, videos) are written by the newest attempt alone.
alter table backups add column trace_parts_begun integer not null default 0;
alter table backups add column registry_attempts integer not null default 0;
