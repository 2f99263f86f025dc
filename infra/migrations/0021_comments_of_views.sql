-- Comments of the columns of views, which have none of their own; and what evidence holds, said in full.

do $$
declare
    described record;
begin
    for described in
        select distinct on (shown.table_schema, shown.table_name, shown.column_name)
            shown.table_schema, shown.table_name, shown.column_name,
            col_description(source.attrelid, source.attnum) as words
        from (
            values
                ('quality', 'control_outcomes', 'quality.controls'),
                ('quality', 'control_outcomes', 'quality.run_controls'),
                ('quality', 'control_outcomes', 'quality.control_results'),
                ('audit', 'chain_check', 'audit.entries')
        ) as views (view_schema, view_name, source_table)
        inner join information_schema.columns as shown
            on views.view_schema = shown.table_schema and views.view_name = shown.table_name
        inner join pg_attribute as source
            on source.attrelid = views.source_table::regclass and shown.column_name = source.attname
        where shown.column_name not in ('status_code', 'problem')
        order by shown.table_schema, shown.table_name, shown.column_name, views.source_table
    loop
        execute format(
            'comment on column %I.%I.%I is %L',
            described.table_schema, described.table_name, described.column_name, described.words
        );
    end loop;
end
$$;

comment on column quality.control_outcomes.status_code is
    'passed, failed, error (could not be checked) or not_run: neither passed nor failed.';
comment on column intermediate.match_scores.evidence is
    'Of each comparison that could be made: the match weight that it added, and the number of the level that was reached.';
