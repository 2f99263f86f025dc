-- Evidence that contradicts itself: an entry that says anew what was on record is found, whoever wrote it. And a sign-off is
-- written by a function, so that an auditor signs with a login of his own.

create view audit.entry_check as
with endings as (
    select
        entries.*,
        count(*) filter (where entries.event_code = 'run')
            over (partition by entries.run_id order by entries.entry_number) as ending_number
    from audit.entries
),

-- A folder holds one report; of all else a run says one thing each time that it ends.
followed as (
    select
        endings.*,
        lag(endings.content) over same as content_before,
        lag(endings.entry_number) over same as number_before,
        lag(endings.ending_number) over same as ending_before,
        max(endings.ending_number) over (partition by endings.run_id) as ending_count
    from endings
    window same as (
        partition by
            endings.run_id,
            endings.event_code,
            case when endings.event_code = 'report' then endings.content ->> 'folder' end
        order by endings.entry_number
    )
)

select
    followed.entry_number,
    followed.run_id,
    followed.event_code,
    case
        when followed.event_code = 'report' and followed.content <> followed.content_before
            then 'another manifest of this report was on record before, in entry ' || followed.number_before
        when
            followed.event_code = 'history'
            and followed.ending_number = followed.ending_count
            and runs.status_code is distinct from 'running'
            then 'its run did not end after it'
        when
            followed.event_code in ('run', 'inputs', 'controls', 'results', 'totals', 'publication')
            and followed.content <> followed.content_before
            and (
                followed.ending_number = followed.ending_before
                or followed.content ->> 'ended_at' = followed.content_before ->> 'ended_at'
            )
            then 'of the same end of its run something else was on record before, in entry ' || followed.number_before
    end as problem
from followed
left join ops.pipeline_runs as runs on followed.run_id = runs.run_id;

comment on view audit.entry_check is
    'One row per entry: whether it contradicts an earlier one. A run may end more than once: one that failed goes on, and any can be cleared and run again.';
comment on column audit.entry_check.entry_number is 'The entry.';
comment on column audit.entry_check.run_id is 'Run.';
comment on column audit.entry_check.event_code is 'What it says of the run.';
comment on column audit.entry_check.problem is 'What it contradicts; null when nothing.';

create function audit.sign_off(signed_run_id text, verdict text, comment text, decided_by text default session_user)
returns text
language plpgsql security definer
set search_path = pg_catalog, audit
as $$
declare
    signed jsonb;
begin
    if verdict is null or verdict not in ('accepted', 'refused') then
        raise exception 'A sign-off is accepted or refused.' using errcode = 'invalid_parameter_value';
    end if;
    if coalesce(btrim(comment), '') = '' or coalesce(btrim(decided_by), '') = '' then
        raise exception 'A sign-off needs a name and a comment: auditors read both.'
            using errcode = 'invalid_parameter_value';
    end if;
    if comment ~ '\S@\S' then
        raise exception 'The comment holds an e-mail address, and what is on record stays for ever: leave it out.'
            using errcode = 'invalid_parameter_value';
    end if;
    select entries.content into signed
    from audit.entries
    where entries.run_id = signed_run_id and entries.event_code = 'report'
    order by entries.entry_number desc
    limit 1;
    if signed is null then
        raise exception 'No report of run % is on record.', signed_run_id using errcode = 'no_data_found';
    end if;
    insert into audit.entries (run_id, event_code, content)
    values (
        signed_run_id,
        'sign_off',
        signed
        || jsonb_build_object('verdict', verdict, 'decided_by', btrim(decided_by), 'comment', btrim(comment))
    );
    return signed ->> 'manifest_sha256';
end
$$;
comment on function audit.sign_off is
    'Puts on record what a person says of the newest report of a run, with the login; gives the SHA-256 of the manifest that is signed.';

revoke all on function audit.sign_off from public;
grant execute on function audit.sign_off to sevenfold_publisher, sevenfold_auditor;
grant select on audit.entry_check to sevenfold_publisher, sevenfold_auditor;
