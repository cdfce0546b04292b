-- Whoever is about to write memories of a life has a row here while it does. A fence, a restore and a purge close the life
-- first and then wait for the rows to go; one whose holder was killed expires.
create table memory_writers (
  holder uuid primary key,
  incarnation uuid not null references tenants,
  expires_at timestamptz not null
);
create index memory_writers_by_life on memory_writers (incarnation);

-- Memory is counted apart: an ingest at its limit does not hold up what an agent remembers.
alter table rate_buckets drop constraint rate_buckets_kind_check;
alter table rate_buckets add constraint rate_buckets_kind_check check (kind in ('feed', 'search', 'memory'));

comment on table memory_writers is 'Who is in the middle of a change of memories; a row that is not renewed expires.';
