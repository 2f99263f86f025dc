-- Members and states of parties lie by date, since each run adds its own: ranges of pages find a date as well as an index over all
-- rows, which every run had to fill, and by which half of the table was read page by page. A state is looked up by its party.

do $$
declare
    old_index text;
begin
    for old_index in
        select format('%I.%I', schemaname, indexname) from pg_indexes
        where schemaname = 'mdm' and tablename in ('mdm_party_members', 'mdm_party_states')
    loop
        execute 'drop index ' || old_index;
    end loop;
    if to_regclass('mdm.mdm_party_members') is not null then
        create index on mdm.mdm_party_members using brin (snapshot_date);
    end if;
    if to_regclass('mdm.mdm_party_states') is not null then
        create index on mdm.mdm_party_states using brin (snapshot_date);
        create unique index on mdm.mdm_party_states (party_id, snapshot_date);
    end if;
end;
$$;
