-- Schema quality: the catalogue of controls, which of them each run had, and the measures whose drift is watched.

create table quality.controls (
    control_id text,
    definition_hash text,
    engine_code text not null check (engine_code in ('great_expectations', 'dbt', 'postgresql')),
    gate_code text not null,
    table_name text not null,
    column_names text[] not null,
    dimension_code text not null
        check (dimension_code in ('completeness', 'validity', 'uniqueness', 'consistency', 'timeliness', 'accuracy')),
    severity_code text not null check (severity_code in ('critical', 'warning', 'info')),
    critical_data_element text not null,
    description text not null,
    rule_sql text not null,
    minimum_met_share double precision not null,
    owner text not null,
    rationale text not null,
    what_to_do text not null,
    first_run_id text not null,
    effective_date date not null,
    primary key (control_id, definition_hash)
);

comment on table quality.controls is 'One row per control and definition that a run has had: the catalogue, and its history.';
comment on column quality.controls.control_id is 'Control: stable, whatever becomes of its definition.';
comment on column quality.controls.definition_hash is 'SHA-256 of all that defines the control.';
comment on column quality.controls.engine_code is 'What checks it: great_expectations at a door, dbt inside, postgresql (a key of a published table).';
comment on column quality.controls.gate_code is 'Where it stands: raw, quality_levels, marts, snapshot; dbt (inside); publication.';
comment on column quality.controls.table_name is 'Table that is judged.';
comment on column quality.controls.column_names is 'Its columns that the rule is about; none where it is about the table.';
comment on column quality.controls.dimension_code is 'The one dimension of quality that the rule belongs to.';
comment on column quality.controls.severity_code is 'critical stops the publication; warning and info do not.';
comment on column quality.controls.critical_data_element is 'Data element that the control protects.';
comment on column quality.controls.description is 'The rule in words.';
comment on column quality.controls.rule_sql is 'The rule in SQL: a query of what breaks it. :''run_id'' and :''as_of_date'' stand for the run, as psql has it.';
comment on column quality.controls.minimum_met_share is 'Share (0-1) of the rows tested that must meet the rule.';
comment on column quality.controls.owner is 'Who answers for it.';
comment on column quality.controls.rationale is 'Why the control exists.';
comment on column quality.controls.what_to_do is 'What to do when it fails.';
comment on column quality.controls.first_run_id is 'First run with this definition.';
comment on column quality.controls.effective_date is 'Day (UTC) on which that run began: since when the definition is in force.';

create table quality.run_controls (
    run_id text,
    control_id text,
    definition_hash text not null,
    primary key (run_id, control_id),
    foreign key (control_id, definition_hash) references quality.controls (control_id, definition_hash)
);

comment on table quality.run_controls is 'One row per run and control that was in force, whether it came to be checked or not.';
comment on column quality.run_controls.run_id is 'Run.';
comment on column quality.run_controls.control_id is 'Control.';
comment on column quality.run_controls.definition_hash is 'The definition in force.';

create view quality.control_outcomes as
select
    run_controls.run_id,
    controls.control_id,
    controls.engine_code,
    controls.gate_code,
    controls.table_name,
    controls.column_names,
    controls.dimension_code,
    controls.severity_code,
    controls.critical_data_element,
    controls.description,
    controls.rule_sql,
    controls.minimum_met_share,
    controls.owner,
    controls.rationale,
    controls.what_to_do,
    controls.effective_date,
    controls.definition_hash,
    coalesce(results.status_code, 'not_run') as status_code,
    results.tested_count,
    results.failed_count,
    results.observed_value,
    results.expected_value,
    results.checked_at
from quality.run_controls
inner join quality.controls
    on
        run_controls.control_id = controls.control_id
        and run_controls.definition_hash = controls.definition_hash
left join quality.control_results as results
    on
        run_controls.run_id = results.run_id
        and run_controls.control_id = results.control_id;

comment on view quality.control_outcomes is
    'One row per run and control that was in force: its definition, and what came of it; not_run is neither passed nor failed.';

create table quality.run_measures (
    run_id text,
    measure_code text,
    subject_code text,
    measured_value double precision not null,
    primary key (run_id, measure_code, subject_code)
);

comment on table quality.run_measures is 'One row per run, measure and subject: what is compared with the recent runs to see it drift.';
comment on column quality.run_measures.run_id is 'Run.';
comment on column quality.run_measures.measure_code is 'What is measured: state_share, rows_read, ...';
comment on column quality.run_measures.subject_code is 'Of what: a state, a source, a source and field.';
comment on column quality.run_measures.measured_value is 'The share (0-1) or the number.';

grant select on quality.controls, quality.run_controls, quality.control_outcomes, quality.run_measures
    to sevenfold_transformer, sevenfold_publisher, sevenfold_auditor;
