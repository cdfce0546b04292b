-- While a fence stands, nothing of the tenant is changed by anybody but its holder. It falls by itself when it is not
-- renewed, so that a lost operation closes nobody out for good.
alter table tenants add column fence uuid;
alter table tenants add column fence_until timestamptz;
alter table tenants add constraint tenants_fence check ((fence is null) = (fence_until is null));
-- The restore that began on this life and has not ended well: it is not to be opened before another one has.
alter table tenants add column unfinished_restore uuid;

create table backups (
  backup text primary key check (backup ~ '^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}$'),
  tenant tenant_id not null,
  incarnation uuid not null,
  operation uuid not null unique references operations,
  -- Where it lies, without secrets: `file:///var/backups`, `s3://bucket/prefix`.
  store text not null,
  state text not null check (state in ('running', 'complete', 'failed', 'removed')),
  consistency_asked text not null check (consistency_asked in ('fenced', 'settled', 'fuzzy')),
  consistency text check (consistency in ('fenced', 'settled', 'fuzzy')),
  -- The wrapped data key and the id of its key; no secret.
  encryption jsonb,
  documents bigint not null default 0,
  memories bigint not null default 0,
  spans bigint not null default 0,
  bytes bigint not null default 0,
  started_at timestamptz not null default now(),
  ended_at timestamptz,
  verified_at timestamptz,
  -- Of the last verification.
  sound boolean,
  -- When it was last restored into a throw-away tenant and found equal.
  proven_at timestamptz,
  -- Why it is kept whatever the policy says.
  hold text,
  foreign key (incarnation, tenant) references tenants (incarnation, tenant),
  check ((state = 'complete') <= (ended_at is not null and consistency is not null))
);
create index backups_by_tenant on backups (tenant, backup desc);

-- How far the visit of each slice of each schema is. `position` holds a document's id: emptied when the backup ends.
create table backup_slices (
  backup text not null references backups,
  base_schema text not null,
  slice integer not null check (slice >= 0),
  slices integer not null check (slices > slice),
  schema_name text not null,
  namespace text not null,
  -- Numbers given to parts, none twice: an attempt that is thought dead never overwrites what another one has noted.
  parts_begun integer not null default 0,
  position jsonb,
  done boolean not null default false,
  primary key (backup, base_schema, slice)
);

create table backup_parts (
  backup text not null references backups,
  path text not null,
  -- Of documents: the slice whose part it is.
  base_schema text,
  slice integer,
  part jsonb not null,
  primary key (backup, path)
);

-- Parts that a restore is done with, and the count and digest of the documents as it stored them.
create table restored_parts (
  operation uuid not null references operations,
  path text not null,
  documents bigint not null check (documents >= 0),
  digest text not null check (digest ~ '^[0-9a-f]{64}$'),
  primary key (operation, path)
);

comment on table backups is 'One row per backup ever begun; what it holds is said by its manifest.';
comment on table backup_slices is 'Where a running backup goes on after a kill.';
comment on table backup_parts is 'What a running backup has stored; afterwards the manifest says it.';
comment on table restored_parts is 'Where a running restore goes on after a kill, and what it is proven by.';
