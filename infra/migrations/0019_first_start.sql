-- A run that is opened again, since a task of it was cleared, begins anew; when it first began is kept beside it.

alter table ops.pipeline_runs add column first_started_at timestamptz;
update ops.pipeline_runs set first_started_at = started_at;

comment on column ops.pipeline_runs.first_started_at is 'When the run was first opened.';
comment on column ops.pipeline_runs.started_at is 'When the run began; when it began again, once it was opened again.';
