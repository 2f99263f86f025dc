-- Schema quality: what the gates found.

create table quality.control_results (
    run_id text,
    gate_code text not null,
    control_id text,
    table_name text,
    dimension_code text,
    severity_code text,
    description text,
    is_met boolean,
    status_code text not null check (status_code in ('passed', 'failed', 'error')),
    tested_count bigint,
    failed_count bigint,
    observed_value text,
    expected_value text,
    critical_data_element text,
    rationale text,
    what_to_do text,
    owner text,
    checked_at timestamptz,
    primary key (run_id, control_id)
);

comment on table quality.control_results is 'One row per run and control of a gate.';
comment on column quality.control_results.run_id is 'Run.';
comment on column quality.control_results.gate_code is 'Gate: raw, quality_levels or marts.';
comment on column quality.control_results.control_id is 'Control.';
comment on column quality.control_results.table_name is 'Table that was checked.';
comment on column quality.control_results.dimension_code is 'Dimension of quality that the control is about.';
comment on column quality.control_results.severity_code is 'critical stops the publication; warning and info do not.';
comment on column quality.control_results.description is 'What the control asks, in words.';
comment on column quality.control_results.is_met is 'Whether it is met; null when it could not be checked.';
comment on column quality.control_results.status_code is 'passed, failed, or error: could not be checked, which never counts as passed.';
comment on column quality.control_results.tested_count is 'Rows that were tested.';
comment on column quality.control_results.failed_count is 'Rows that failed.';
comment on column quality.control_results.observed_value is 'What was found: a number or a name, never a person''s value.';
comment on column quality.control_results.expected_value is 'What was expected.';
comment on column quality.control_results.critical_data_element is 'Data element that the control protects, where it is a critical one.';
comment on column quality.control_results.rationale is 'Why the control exists.';
comment on column quality.control_results.what_to_do is 'What to do when it fails.';
comment on column quality.control_results.owner is 'Who answers for it.';
comment on column quality.control_results.checked_at is 'When it was checked.';

grant select, insert, update, delete on quality.control_results to sevenfold_transformer;
grant select on quality.control_results to sevenfold_publisher, sevenfold_auditor;
