-- What one tenant may have and ask for, and what it has and has asked for.

create table quotas (
  incarnation uuid not null references tenants,
  resource text not null
    check (resource in ('api_calls', 'storage_mb', 'videos', 'documents', 'memories', 'concurrent_ingests')),
  -- Of storage in bytes, of all else in pieces.
  max bigint not null check (max >= 0),
  period text check (period in ('day', 'month')),
  primary key (incarnation, resource),
  check ((resource = 'api_calls') = (period is not null))
);
comment on table quotas is 'Limits of a tenant; a resource without a row has none.';

-- One row a resource, and of calls one a period. `reserved` is the sum of the reservations' amounts: it is here, as what
-- decides must be in the row that takers wait for each other on.
create table quota_usage (
  incarnation uuid not null references tenants,
  resource text not null,
  period_start timestamptz not null default '-infinity',
  used bigint not null default 0 check (used >= 0),
  reserved bigint not null default 0 check (reserved >= 0),
  primary key (incarnation, resource, period_start)
) with (fillfactor = 50);
comment on table quota_usage is 'What each tenant has of a resource, limited or not; of calls, how many it made in a period.';

create table quota_reservations (
  incarnation uuid not null references tenants,
  resource text not null,
  -- The work it is for: the same again is the same reservation.
  key text not null,
  amount bigint not null check (amount >= 0),
  -- Given up when this has ended; null: by time alone.
  operation uuid references operations,
  expires_at timestamptz not null,
  primary key (incarnation, resource, key)
);
comment on table quota_reservations is 'What work under way may come to use; one whose holder is dead expires.';

alter table videos add column bytes bigint not null default 0 check (bytes >= 0);
comment on column videos.bytes is 'Of its documents as they were sent; 0 when stored by a version that did not note it.';

-- Whoever writes a video (an ingest, a restore), its tenant's usage goes with it, in the same transaction.
create function count_videos() returns trigger language plpgsql as $$
declare
  change record;
begin
  if tg_op = 'INSERT' then
    for change in
      select incarnation, count(*) as videos, sum(documents) as documents, sum(bytes) as bytes
      from now_rows where complete group by incarnation
    loop
      perform add_video_usage(change.incarnation, change.videos, change.documents, change.bytes::bigint);
    end loop;
  elsif tg_op = 'DELETE' then
    for change in
      select incarnation, count(*) as videos, sum(documents) as documents, sum(bytes) as bytes
      from former_rows where complete group by incarnation
    loop
      perform add_video_usage(change.incarnation, -change.videos, -change.documents, -change.bytes::bigint);
    end loop;
  else
    for change in
      select incarnation, sum(n) as videos, sum(n * documents) as documents, sum(n * bytes) as bytes
      from (select 1 as n, * from now_rows where complete union all select -1, * from former_rows where complete) as both_rows
      group by incarnation
      having sum(n) <> 0 or sum(n * documents) <> 0 or sum(n * bytes) <> 0
    loop
      perform add_video_usage(change.incarnation, change.videos, change.documents, change.bytes::bigint);
    end loop;
  end if;
  return null;
end $$;

create function add_video_usage(life uuid, more_videos bigint, more_documents bigint, more_bytes bigint) returns void
language sql as $$
  -- What is given back of a life that is being purged makes no new row.
  insert into quota_usage (incarnation, resource)
  select life, resource from unnest(array['documents', 'storage_mb', 'videos']) as all_of (resource)
  where more_videos > 0 or more_documents > 0 or more_bytes > 0
  on conflict do nothing;
  update quota_usage set used = greatest(0, used + case resource
    when 'videos' then more_videos when 'documents' then more_documents else more_bytes end)
  where (incarnation, resource) in (
    select incarnation, resource from quota_usage
    where incarnation = life and resource in ('documents', 'storage_mb', 'videos') order by resource for update)
$$;

create trigger videos_counted_insert after insert on videos referencing new table as now_rows
  for each statement execute function count_videos();
create trigger videos_counted_update after update on videos referencing old table as former_rows new table as now_rows
  for each statement execute function count_videos();
create trigger videos_counted_delete after delete on videos referencing old table as former_rows
  for each statement execute function count_videos();

insert into quota_usage (incarnation, resource, used)
select incarnation, resource, case resource when 'videos' then videos when 'documents' then documents else 0 end
from (select incarnation, count(*) as videos, sum(documents) as documents from videos where complete group by incarnation) as there,
  unnest(array['documents', 'storage_mb', 'videos']) as all_of (resource);
