-- What a raw door has judged by other contracts is not published; what it has found can be asked by who may read raw.

alter table ops.source_contracts add column changed_at timestamptz not null default clock_timestamp();
comment on column ops.source_contracts.changed_at is 'When the contract came, was changed, or went.';

grant select on ops.published_batches to sevenfold_transformer;
