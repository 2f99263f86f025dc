-- A batch that its source has delivered again may leave the judgement of the raw gate; its rows stay in raw.

alter table ops.extract_batches drop constraint if exists extract_batches_status_code_check;
alter table ops.extract_batches add constraint extract_batches_status_code_check
    check (status_code in ('landed', 'unchanged', 'duplicate_file', 'refused', 'superseded'));
