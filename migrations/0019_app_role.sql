-- The application does not own the tables it works on: its role adds to the audit log, and can neither change it nor take
-- its triggers away. Whoever migrates owns the tables; see docs/audit.md for how to deploy so.
do $$
begin
  if not exists (select from pg_roles where rolname = 'cvops_app') then
    begin
      create role cvops_app nologin;
    exception
      -- Roles are the server's: another database's migration may make it at this very moment.
      when duplicate_object or unique_violation then null;
      when insufficient_privilege then
        raise notice 'the role cvops_app is not there and cannot be made: see docs/audit.md';
    end;
  end if;
end $$;

create function grant_to_app() returns void language plpgsql as $$
declare
  append_only text;
begin
  if not exists (select from pg_roles where rolname = 'cvops_app') then
    return;
  end if;
  execute format('grant usage on schema %I to cvops_app', current_schema());
  execute format('grant select, insert, update, delete on all tables in schema %I to cvops_app', current_schema());
  execute format('grant usage on all sequences in schema %I to cvops_app', current_schema());
  for append_only in select unnest(array['audit_log', 'erasure_certificates', 'migrations']) loop
    execute format('revoke update, delete, truncate, references, trigger on %I from cvops_app', append_only);
  end loop;
  revoke insert on migrations from cvops_app;
end $$;
revoke execute on function grant_to_app() from public;
comment on function grant_to_app() is
  'What the role cvops_app may do; run it after each migration, and once the role was made by hand.';

select grant_to_app();
