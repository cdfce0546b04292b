-- The end of a tenant's life: retention, purge, proof, quarantine of its name; and rollouts over many tenants.

alter table tenants
  add column deactivated_at timestamptz,
  -- The operation that purges, or purged, this life: another one takes over where it stopped.
  add column purge_operation uuid,
  add column purged_at timestamptz,
  add column quarantine_until timestamptz,
  add constraint tenants_purged check ((purged_at is not null) = (state = 'purged')),
  add constraint tenants_quarantine check (quarantine_until is null or state = 'purged');

-- One notice a date and distance, whoever asks again.
create table retention_notices (
  incarnation uuid not null references tenants,
  purge_at timestamptz not null,
  days integer not null check (days > 0),
  given_at timestamptz not null default now(),
  primary key (incarnation, purge_at, days)
);

-- Which Temporal Schedules are a tenant's. A schedule's id proves nothing.
create table tenant_schedules (
  schedule_id text primary key,
  incarnation uuid not null references tenants,
  kind text not null,
  -- Paused by the deactivation. One that a person had paused before is not, and stays paused after a reactivation.
  paused_for_retention boolean not null default false,
  created_at timestamptz not null default now()
);
create index tenant_schedules_by_life on tenant_schedules (incarnation);

-- What a purge found, took away and no longer finds: the certificate is written from these rows. The counts before are
-- written once, however often the purge begins again.
create table purge_stores (
  incarnation uuid not null references tenants,
  store text not null check (store in ('documents', 'schemas', 'memory', 'traces', 'schedules', 'ledger', 'configuration')),
  name text not null,
  method text not null,
  before bigint not null check (before >= 0),
  counted_at timestamptz not null default now(),
  deleted_at timestamptz,
  after bigint check (after >= 0),
  read_back_at timestamptz,
  after_delay bigint check (after_delay >= 0),
  second_read_back_at timestamptz,
  primary key (incarnation, store, name)
);

create table erasure_certificates (
  incarnation uuid primary key references tenants,
  operation uuid not null references operations,
  document text not null,
  issued_at timestamptz not null default now()
);
create trigger erasure_certificates_append_only before update or delete or truncate on erasure_certificates
  for each statement execute function refuse_change();

create or replace function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', case tg_table_name when 'audit_log' then 'the audit log' else tg_table_name end;
end $$;

create index operations_by_life on operations (incarnation);

-- An operation over many tenants has none of its own; its items say which.
alter table operations alter column tenant drop not null, alter column incarnation drop not null;
alter table operations add constraint operations_tenant_with_life check ((tenant is null) = (incarnation is null));

create table rollout_items (
  operation uuid not null references operations,
  item integer not null check (item > 0),
  tenant tenant_id not null,
  incarnation uuid not null references tenants,
  wave integer not null check (wave > 0),
  state text not null default 'pending' check (state in ('pending', 'done', 'failed', 'skipped')),
  reason text,
  schemas text[] not null default '{}',
  ended_at timestamptz,
  primary key (operation, item),
  unique (operation, incarnation),
  check ((state in ('failed', 'skipped')) = (reason is not null)),
  check ((state = 'pending') = (ended_at is null))
);

comment on table retention_notices is 'Notices given before a purge, once each.';
comment on table tenant_schedules is 'Whose each Temporal Schedule is.';
comment on table purge_stores is 'Counts of a purge: before, after, and after a delay.';
comment on table erasure_certificates is 'Signed proof of each finished purge; append-only.';
comment on table rollout_items is 'One row per tenant of a rollout over many.';
