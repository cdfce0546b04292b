-- What a later run needs to take an operation up again: where its input was. No content, no secrets.
alter table operations add column input jsonb not null default '{}'
  constraint operations_input_object check (jsonb_typeof(input) = 'object');
