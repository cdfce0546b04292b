-- Asked by an ingest's turns after each video, so that a pause is heard by the next one.
alter table operations add column paused boolean not null default false;
-- Whether any other ingest runs is asked as often; few run at a time among many that ended.
create index operations_running on operations (kind) where state = 'running';
