-- What matching ignored because too many share it, and the figures of each run that show whether matching drifts.

create table intermediate.match_demoted_values (
    value_kind_code text,
    shared_value text,
    reason_code text not null,
    record_count bigint not null,
    given_name_count bigint not null,
    primary key (value_kind_code, shared_value)
);
alter table intermediate.match_demoted_values owner to sevenfold_transformer;

comment on table intermediate.match_demoted_values is 'One row per value that matching ignores, because too many records or given names share it. Personal data.';
comment on column intermediate.match_demoted_values.value_kind_code is 'Kind of value (seed shared_value_limits).';
comment on column intermediate.match_demoted_values.shared_value is 'The value, in the form in which it is compared.';
comment on column intermediate.match_demoted_values.reason_code is 'Which limit it is over: too_many_records, or else too_many_given_names.';
comment on column intermediate.match_demoted_values.record_count is 'Current records that carry it.';
comment on column intermediate.match_demoted_values.given_name_count is 'Given names of these records, told apart by their first three letters, nicknames undone.';

create table quality.match_metrics (
    run_id text,
    as_of_date date not null,
    model_version text,
    metric_code text,
    bucket_code text,
    bucket_rank smallint not null,
    metric_value double precision not null,
    recorded_at timestamptz not null default now(),
    primary key (run_id, metric_code, bucket_code)
);

comment on table quality.match_metrics is 'One row per published run, metric of matching and bucket. Append-only.';

create view marts.fct_match_metrics as
select
    run_id,
    as_of_date,
    model_version,
    metric_code,
    bucket_code,
    bucket_rank,
    metric_value,
    recorded_at
from quality.match_metrics;

comment on view marts.fct_match_metrics is 'One row per published run, metric of matching and bucket: match rates, the histogram of weights, the sizes of groups, namesakes.';

do $$
declare
    described record;
    relation text;
begin
    foreach relation in array array['quality.match_metrics', 'marts.fct_match_metrics'] loop
        for described in
            select * from (values
                ('run_id', 'Run.'),
                ('as_of_date', 'Date of the run.'),
                ('model_version', 'Version of the matching model that scored.'),
                ('metric_code', 'What is measured (seed match_metrics).'),
                ('bucket_code', 'Which part of a histogram; all for a metric of one figure.'),
                ('bucket_rank', 'Order of the buckets of a metric.'),
                ('metric_value', 'The figure: a share (0-1), or a ratio.'),
                ('recorded_at', 'When the run was published.')
            ) as columns (column_name, description)
        loop
            execute format('comment on column %s.%I is %L', relation, described.column_name, described.description);
        end loop;
    end loop;
end
$$;

grant select on quality.match_metrics to sevenfold_transformer, sevenfold_auditor;
grant select, insert on quality.match_metrics to sevenfold_publisher;
grant select on marts.fct_match_metrics
    to sevenfold_transformer, sevenfold_bi_reader, sevenfold_pii_reader, sevenfold_auditor;
