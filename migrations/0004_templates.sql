-- Templates that operators add; the built-in ones are code. One row per name: the audit log keeps who changed what.

create table tenant_templates (
  name text primary key check (name ~ '^[a-z][a-z0-9]*([_-][a-z0-9]+)*$' and length(name) <= 48),
  "values" jsonb not null check (jsonb_typeof("values") = 'object'),
  author text not null check (author <> ''),
  reason text not null,
  created_at timestamptz not null default now(),
  constraint tenant_templates_not_built_in check (name not in ('enterprise', 'startup', 'trial'))
);

comment on table tenant_templates is 'Templates of new tenants that operators added. Tenants keep the values they were made with.';
