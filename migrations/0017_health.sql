-- What is wrong, and who was told. One alert is open for one thing; cured, it is resolved, and the next time is a new one.
create table alerts (
  id uuid primary key default gen_random_uuid(),
  -- `<life or installation>/<check>/<what>`
  fingerprint text not null check (fingerprint <> ''),
  -- Both null: the installation's.
  tenant tenant_id,
  incarnation uuid,
  check_name text not null,
  severity text not null check (severity in ('info', 'warning', 'critical')),
  message text not null,
  -- The command that mends it, or looks into it; null: there is none.
  fix text,
  opened_at timestamptz not null default now(),
  last_seen timestamptz not null default now(),
  resolved_at timestamptz,
  silenced_until timestamptz,
  foreign key (incarnation, tenant) references tenants (incarnation, tenant),
  check ((tenant is null) = (incarnation is null))
);
create unique index alerts_open on alerts (fingerprint) where resolved_at is null;
create index alerts_open_by_life on alerts (incarnation) where resolved_at is null;
create index alerts_by_time on alerts (opened_at desc, id);

-- What is to be told of an alert, and how far that is: written in the transaction of the change it tells of.
create table alert_events (
  id uuid primary key default gen_random_uuid(),
  alert uuid not null references alerts,
  seq bigint generated always as identity,
  event text not null check (event in ('opened', 'raised', 'resolved')),
  -- `dropped`: there was nobody to tell, or it was over before anybody was told.
  state text not null default 'pending' check (state in ('pending', 'sent', 'dropped')),
  tries integer not null default 0 check (tries >= 0),
  -- A try that is under way pushes it on: when its worker is killed the event is sent again after it.
  next_try_at timestamptz not null default now(),
  last_error text,
  created_at timestamptz not null default now(),
  ended_at timestamptz,
  check ((state = 'pending') = (ended_at is null))
);
create index alert_events_pending on alert_events (seq) where state = 'pending';
create index alert_events_by_alert on alert_events (alert, seq);

-- What the last look at each life, and at the installation, found.
create table health_reports (
  -- Null: the installation's, of which there is one.
  incarnation uuid unique references tenants,
  checked_at timestamptz not null,
  checks jsonb not null check (jsonb_typeof(checks) = 'object'),
  -- Of the installation: the head of the audit log up to which the chain was found whole.
  audit_seq bigint,
  audit_head text,
  check ((audit_seq is null) = (audit_head is null))
);
create unique index health_reports_one_installation on health_reports ((true)) where incarnation is null;

comment on table alerts is 'What checkHealth found wrong; at most one open row a fingerprint.';
comment on table alert_events is 'Outbox of the alerts: what log and webhook are told, at least once.';
comment on table health_reports is 'The last report of checkHealth, one row a life and one of the installation.';
