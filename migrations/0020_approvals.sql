-- Verbs that one person cannot do alone, and what waits for a second one.

create table approval_policies (
  verb text not null,
  -- `*` for every one.
  tenant text not null,
  required boolean not null,
  changed_by text not null,
  changed_at timestamptz not null default now(),
  -- Who wants it required no more; it takes another one to agree.
  waiver_by text,
  waiver_at timestamptz,
  primary key (verb, tenant),
  check ((waiver_by is null) = (waiver_at is null))
);

create table approvals (
  operation uuid primary key,
  verb text not null,
  tenant tenant_id not null,
  incarnation uuid not null,
  -- Who carries it out once it is granted.
  workflow_id text not null,
  request jsonb not null,
  asked_by text not null,
  reason text not null,
  asked_at timestamptz not null default now(),
  expires_at timestamptz not null,
  state text not null check (state in ('waiting', 'granted', 'refused', 'withdrawn')),
  decided_by text,
  decided_at timestamptz,
  decision text,
  check ((state = 'waiting') = (decided_by is null)),
  check (state <> 'granted' or decided_by <> asked_by)
);
create index approvals_of on approvals (tenant, asked_at desc);

comment on table approval_policies is 'Which verbs need a second administrator.';
comment on table approvals is 'Operations that wait, or waited, for a second administrator.';
select grant_to_app();
