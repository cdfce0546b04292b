-- When nothing was found in its folder any more. A removed backup without it has been begun to be removed, no more.
alter table backups add column emptied_at timestamptz;
alter table backups add constraint backups_emptied check (emptied_at is null or state = 'removed');
-- What a prune of all tenants and the witness of a store look for.
create index backups_by_store on backups (store, backup desc) where state = 'complete';
