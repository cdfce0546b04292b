-- A version of a configuration remembers which of its secret references an administrator answers for, by path. Every
-- other one is held to the tenant's own places when it is read, also those from before.
alter table config_versions add column vouched text[] not null default '{}';

comment on column config_versions.vouched is
  'Paths of references, such as llm_api_key, that an administrator named with the address that they are sent to.';
