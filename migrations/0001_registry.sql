-- The registry: the truth about tenants, whose each schema is, configuration, operations, the ledger and the audit log.

create domain tenant_id as text
  check (value ~ '^[a-z][a-z0-9]*(_[a-z0-9]+)*$' and length(value) between 2 and 48);

create table tenants (
  incarnation uuid primary key,
  tenant tenant_id not null,
  state text not null check (state in ('creating', 'active', 'inactive', 'purging', 'purged', 'creation_failed')),
  template text not null,
  phoenix_project text not null,
  memory_enabled boolean not null,
  create_operation uuid not null unique,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  purge_at timestamptz,
  check ((purge_at is not null) = (state = 'inactive'))
);
-- A tenant id has one life at a time; the former ones stay as history.
create unique index tenants_one_life on tenants (tenant) where state not in ('purged', 'creation_failed');
create index tenants_by_id on tenants (tenant, created_at desc);

create table tenant_schemas (
  -- Both unique over all tenants: equal names would share documents, and equal Java hashes break every later deploy.
  schema_name text primary key,
  java_hash integer not null unique,
  incarnation uuid not null references tenants,
  base_schema text not null,
  state text not null check (state in ('reserved', 'deployed')),
  generation bigint,
  deployed_at timestamptz,
  unique (incarnation, base_schema),
  check ((state = 'deployed') = (generation is not null))
);

create table config_versions (
  incarnation uuid not null references tenants,
  scope text not null check (scope in ('system', 'agent', 'routing', 'telemetry', 'schema', 'backend')),
  service text not null,
  key text not null,
  version integer not null check (version > 0),
  value jsonb not null,
  author text not null,
  reason text not null,
  created_at timestamptz not null default now(),
  primary key (incarnation, scope, service, key, version)
);

create table operations (
  operation uuid primary key,
  kind text not null,
  tenant tenant_id not null,
  incarnation uuid not null references tenants,
  principal text not null,
  reason text not null,
  state text not null check (state in ('running', 'completed', 'completed_with_failures', 'failed', 'cancelled')),
  workflow_id text not null,
  counts jsonb not null default '{}',
  error jsonb,
  started_at timestamptz not null default now(),
  ended_at timestamptz,
  check ((state = 'running') = (ended_at is null))
);
create index operations_by_time on operations (started_at desc, operation);
create index operations_by_tenant on operations (tenant, started_at desc);

-- The ledger: a row per input item of a bulk operation; each ends as exactly one of stored, unchanged, failed.
create table ingest_items (
  operation uuid not null references operations,
  item bigint not null check (item > 0),
  path text not null,
  video text not null,
  state text not null default 'pending' check (state in ('pending', 'stored', 'unchanged', 'failed')),
  reason text,
  documents integer not null default 0,
  ended_at timestamptz,
  primary key (operation, item),
  unique (operation, path),
  check ((state = 'failed') = (reason is not null)),
  check ((state = 'pending') = (ended_at is null))
);

-- What each video of a tenant was last stored as: how an unchanged one is known, and which documents are stale.
create table videos (
  incarnation uuid not null references tenants,
  base_schema text not null,
  video text not null,
  path text not null,
  sha256 text not null,
  profile_version integer not null,
  encoder text not null,
  -- Raised before feeding and never lowered before stale documents are gone: a killed run leaves no orphan unnamed.
  documents integer not null,
  complete boolean not null,
  stored_at timestamptz not null default now(),
  primary key (incarnation, base_schema, video)
);

create table audit_log (
  seq bigint primary key,
  at timestamptz not null,
  principal text not null,
  verb text not null,
  tenant text not null,
  operation uuid,
  outcome text not null,
  reason text not null,
  detail jsonb not null,
  previous text not null,
  hash text not null unique
);

create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'the audit log is append-only';
end $$;
create trigger audit_log_append_only before update or delete or truncate on audit_log
  for each statement execute function refuse_change();
