-- A run that waits for a steward's answer has no process, and is alive all the same.

alter table ops.pipeline_runs add column waits_until timestamptz;
comment on column ops.pipeline_runs.waits_until is 'Until when the run waits for a steward''s answer; null: it waits for nobody.';
