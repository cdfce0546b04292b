-- Who takes part in a verification of isolation. A row that is planted says that the tenant's stores may hold a canary:
-- the next run takes away what a killed one left.
create table isolation_members (
  operation uuid not null references operations,
  item integer not null check (item > 0),
  incarnation uuid not null references tenants,
  token text not null,
  state text not null default 'waiting' check (state in ('waiting', 'planted', 'removed')),
  planted_at timestamptz,
  -- The run that takes away what this one left.
  remover uuid references operations,
  -- Why the tenant was left out; null for one that was checked.
  skipped text,
  primary key (operation, item),
  check (state = 'waiting' or planted_at is not null)
);
-- One canary a life, so that no two runs take away each other's.
create unique index isolation_members_one_planted on isolation_members (incarnation) where state = 'planted';
comment on table isolation_members is 'The tenants of a verification of isolation, and whose stores may hold a canary.';

create table isolation_findings (
  operation uuid not null references operations,
  name text not null,
  a text not null,
  b text not null,
  detail text not null,
  primary key (operation, name, a, b)
);
comment on table isolation_findings is 'What a verification of isolation found wrong, once a way and pair; names and ids only.';

-- Beside the scopes of configuration: nothing that reads a tenant's configuration sees it.
alter table config_versions drop constraint config_versions_scope_check;
alter table config_versions add constraint config_versions_scope_check
  check (scope in ('system', 'agent', 'routing', 'telemetry', 'schema', 'backend', 'canary'));
