-- What one tenant may put on the installation, over all workers: requests a second, and videos in work at once.

-- When the next request may be made, by this server's clock. Unlogged: a few writes a second and tenant, worth nothing
-- after a crash, which empties the table: then a tenant may send for a quarter of a second what it had sent already.
create unlogged table rate_buckets (
  incarnation uuid not null references tenants,
  kind text not null check (kind in ('feed', 'search')),
  next_at timestamptz not null,
  primary key (incarnation, kind)
) with (fillfactor = 50);

-- Videos in work. Logged: a row is written a few times a video, and must be there after a crash or a failover.
create table ingest_slots (
  incarnation uuid not null references tenants,
  operation uuid not null references operations,
  item bigint not null check (item > 0),
  -- One try of the item: a former one that still runs neither renews nor gives up what is no longer its own.
  holder uuid not null,
  expires_at timestamptz not null,
  primary key (incarnation, operation, item)
);

-- Times that work on an item was begun and ended by its own fault, or with its worker. Temporal's own count of attempts
-- also has those that only waited for a slot.
alter table ingest_items add column tries integer not null default 0 check (tries >= 0);

comment on table rate_buckets is 'When each tenant may next put a request on Vespa, by kind.';
comment on table ingest_slots is 'Videos in work, by tenant; a row that is not renewed expires.';
