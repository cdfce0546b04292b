-- What the first version left to the code: here the database refuses it too, whoever writes.

alter domain tenant_id add constraint tenant_id_not_reserved
  check (value not in ('admin', 'system', 'all', 'none', 'null', 'true', 'false'));

-- Two living tenants never write their traces into one project.
create unique index tenants_one_project on tenants (phoenix_project)
  where state not in ('purged', 'creation_failed');

-- An operation's tenant is the tenant of its incarnation.
alter table tenants add constraint tenants_life_of_tenant unique (incarnation, tenant);
alter table operations add constraint operations_life_of_tenant
  foreign key (incarnation, tenant) references tenants (incarnation, tenant);

-- A workflow id is used again by the next run of its kind; this says which run was this operation.
alter table operations add column run_id text;
alter table operations add constraint operations_counts_object check (jsonb_typeof(counts) = 'object');
alter table operations add constraint operations_error_shape
  check (error is null or (error ? 'code' and error ? 'message'));

alter table config_versions add constraint config_versions_value_object check (jsonb_typeof(value) = 'object');
alter table config_versions add constraint config_versions_author check (author <> '');

alter table ingest_items add constraint ingest_items_documents
  check (documents >= 0 and (documents = 0 or state in ('stored', 'unchanged')));
-- Failures are few among many: their pages must not read the whole ledger of a run.
create index ingest_items_failed on ingest_items (operation, item) where state = 'failed';

alter table videos add constraint videos_documents check (documents >= 0);

alter table audit_log add constraint audit_log_hashes
  check (hash ~ '^[0-9a-f]{64}$' and previous ~ '^[0-9a-f]{64}$' and seq > 0);
-- A chain, not a tree.
create unique index audit_log_one_successor on audit_log (previous);
create index audit_log_by_tenant on audit_log (tenant, seq);

comment on table tenants is 'One row per life (incarnation) of a tenant id; at most one of an id is alive.';
comment on table tenant_schemas is 'Whose each physical Vespa schema is. The only proof; a name proves nothing.';
comment on table config_versions is 'Every version of every configuration key of a life; only ever appended to.';
comment on table operations is 'One row per run of a workflow for a tenant.';
comment on table ingest_items is 'The ledger: one row per input of a bulk operation, with its one end.';
comment on table videos is 'What each video was last stored as.';
comment on table audit_log is 'Append-only SHA-256 chain of who did what; verify with verifyAudit().';
