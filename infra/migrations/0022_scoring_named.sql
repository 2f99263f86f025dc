-- Which scoring the scores are of: what is kept beside the warehouse can tell whether it is of the same one.

create table intermediate.match_scoring (scoring_id uuid not null);
alter table intermediate.match_scoring owner to sevenfold_transformer;

comment on table intermediate.match_scoring is
    'One row: the last scoring that stored anything. Every scoring that stores replaces it, in the transaction of the scores.';
comment on column intermediate.match_scoring.scoring_id is 'Random name of the scoring.';
