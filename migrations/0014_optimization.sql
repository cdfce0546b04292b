create table routing_buffers (
  incarnation uuid primary key references tenants,
  last bigint not null default 0 check (last >= 0)
);
comment on table routing_buffers is 'How many experiences a life ever had: what the next one is numbered by, and its writers take turns on.';

create table routing_experiences (
  incarnation uuid not null references tenants,
  -- Of the decision's span in Phoenix; made up where none was sent.
  span_id text not null check (span_id ~ '^[0-9a-f]{16}$'),
  seq bigint not null,
  at timestamptz not null,
  query text not null,
  agent text not null,
  confidence double precision not null check (confidence between 0 and 1),
  failed boolean not null default false,
  ballots jsonb not null check (jsonb_typeof(ballots) = 'array'),
  -- The label that counts, read from Phoenix: a person's before a model's before a program's.
  label text check (label in ('correct_routing', 'wrong_routing', 'ambiguous', 'insufficient_info')),
  label_kind text check (label_kind in ('CODE', 'LLM', 'HUMAN')),
  expected_agent text,
  labelled_at timestamptz,
  -- What came of asking the judge: how often in vain, and when it may be asked again.
  judge_tries integer not null default 0,
  judge_after timestamptz,
  judge_failure text,
  review text check (review in ('high', 'medium', 'low')),
  primary key (incarnation, span_id),
  unique (incarnation, seq),
  check ((label is null) = (label_kind is null) and (label is null) = (labelled_at is null)),
  check (expected_agent is null or label is not null)
);
comment on table routing_experiences is 'The experience buffer: the last decisions of the router, up to experience_buffer_size; the oldest leave.';

create table span_watermarks (
  incarnation uuid not null references tenants,
  span_name text not null,
  cursor text,
  primary key (incarnation, span_name)
);
comment on table span_watermarks is 'Where the evaluation of a life has come to, by name of span: everything that Phoenix stored before the cursor is evaluated.';
create table evaluated_spans (
  incarnation uuid not null references tenants,
  span_name text not null,
  span_id text not null,
  noted_at timestamptz not null default now(),
  primary key (incarnation, span_name, span_id)
);
comment on table evaluated_spans is 'Spans that Phoenix stored after the watermark and that are evaluated already.';

create table optimization_states (
  incarnation uuid primary key references tenants,
  slot integer unique check (slot >= 0),
  runs jsonb not null default '{}' check (jsonb_typeof(runs) = 'object'),
  -- When a retraining last came to a verdict: labels from before it are not new.
  retrained_at timestamptz
);
comment on table optimization_states is 'The place of a life among the optimized ones, which spreads their schedules, and how its last runs ended.';
comment on column optimization_states.slot is 'Null: not optimized, its place is free for another.';

create table retrainings (
  incarnation uuid not null references tenants,
  at timestamptz not null default now(),
  -- The workflow's run: a second attempt of it finds its verdict.
  run uuid not null,
  applied boolean not null,
  why text not null,
  -- Versions of the routing configuration: judged, and written.
  from_version integer not null,
  to_version integer,
  figures jsonb not null,
  primary key (incarnation, run),
  check (applied = (to_version is not null))
);
comment on table retrainings is 'Every verdict of a retraining, with its figures: what was applied, or why not.';
