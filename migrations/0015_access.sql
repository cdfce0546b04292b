-- Who may ask: tokens that were issued, what was proven with them, and what was refused.

-- Never the token itself: its id, and what it says.
create table access_tokens (
  id uuid primary key,
  subject text not null,
  role text not null check (role in ('reader', 'operator', 'admin', 'system')),
  tenant tenant_id,
  issued_by text not null,
  issued_at timestamptz not null,
  expires_at timestamptz not null,
  revoked_at timestamptz,
  revoked_by text,
  check ((role in ('reader', 'operator')) = (tenant is not null)),
  check ((revoked_at is null) = (revoked_by is null))
);
create index access_tokens_revoked on access_tokens (id) where revoked_at is not null;

-- Every chain of runs that was let in, by its first run: a proof lets in one.
create table access_chains (
  first_run uuid primary key,
  workflow_id text not null,
  workflow_type text not null,
  -- Of a start; a schedule's is for all of its runs, and a child has none of its own.
  proof uuid unique,
  token uuid,
  subject text not null,
  role text not null,
  tenant tenant_id,
  -- Of the arguments: what its activities may name. Null: an installation's.
  tenants text[],
  admitted_at timestamptz not null default now()
);

-- One message a proof; again is the same message tried again.
create table access_messages (
  proof uuid primary key,
  message text not null,
  admitted_at timestamptz not null default now()
);

-- What was refused was told once, however often it was tried again.
create table access_denials (
  what text primary key,
  denied_at timestamptz not null default now()
);

-- Requests to the one writer of an application package, by their digest: it carries out those that have a row.
create table schema_requests (
  digest text primary key,
  asked_at timestamptz not null default now(),
  -- The activity that carries it out.
  taken_by text
);

comment on table access_tokens is 'Tokens that were issued, without the tokens; a revoked one stays.';
comment on table access_chains is 'Workflows that were let in, each by one proof.';
comment on table access_messages is 'Messages to workflows that were let in, each by one proof.';
comment on table access_denials is 'Which refusals are in the audit log already.';
comment on table schema_requests is 'What the Vespa application was really asked for.';
