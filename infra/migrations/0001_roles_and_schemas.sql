-- The six roles, the ten schemas, and who may do what in them.
-- Runs as an ordinary user who may create roles and, in this database, schemas: no superuser is needed.

-- Roles belong to the whole server: another database of it may have made them already, or be making them now.
do $$
declare
    role_name text;
    -- From 16 on, whoever makes a role is its member without the right to become it.
    becoming constant text := case when current_setting('server_version_num')::integer >= 160000 then 'set' else 'member' end;
begin
    foreach role_name in array array[
        'sevenfold_loader', 'sevenfold_transformer', 'sevenfold_publisher',
        'sevenfold_bi_reader', 'sevenfold_pii_reader', 'sevenfold_auditor'
    ] loop
        if not exists (select from pg_catalog.pg_roles where rolname = role_name) then
            execute format('create role %I nologin', role_name);
        end if;
        -- The pipeline's user becomes these three, one per step.
        if role_name in ('sevenfold_loader', 'sevenfold_transformer', 'sevenfold_publisher')
            and not pg_catalog.pg_has_role(current_user, role_name, becoming) then
            execute format('grant %I to %I', role_name, current_user);
        end if;
    end loop;
end
$$;

revoke all on schema public from public;
revoke all on schema ops from public;

create schema raw;
create schema rules;
create schema staging;
create schema intermediate;
create schema mdm;
create schema candidate;
create schema marts;
create schema restricted;
create schema quality;

comment on schema raw is 'Source rows as they came, append-only: one table per source and entity.';
comment on schema rules is 'The rules of the method and the reference tables: the seeds, as an auditor reads them.';
comment on schema staging is 'Raw rows with the canonical field names, one row per raw row.';
comment on schema intermediate is 'The steps of the method between staging and master data.';
comment on schema mdm is 'Master data: the identity ledger, crosswalk, golden records, party states.';
comment on schema candidate is 'What this run would publish.';
comment on schema marts is 'What is published, without personal data.';
comment on schema restricted is 'What is published with personal data.';
comment on schema quality is 'Control results, field failures and quarantined rows.';
comment on schema ops is 'Runs, contracts, batches and migrations.';

-- The loader writes raw.
grant usage, create on schema raw to sevenfold_loader;
grant usage on schema ops to sevenfold_loader;

-- The transformer makes everything between raw and the candidate, and reads what is published.
grant usage on schema raw, ops, marts, restricted to sevenfold_transformer;
grant usage, create on schema rules, staging, intermediate, mdm, candidate, quality to sevenfold_transformer;

-- The publisher moves the candidate to what readers see, and the identity ledger with it.
grant usage on schema candidate, mdm, quality, ops to sevenfold_publisher;
grant usage, create on schema marts, restricted to sevenfold_publisher;

-- Readers.
grant usage on schema marts to sevenfold_bi_reader;
grant usage on schema marts, restricted to sevenfold_pii_reader;
grant usage on schema marts, rules, quality, ops to sevenfold_auditor;

-- Rights on tables that do not exist yet are given by the role that will make them.
set local role sevenfold_loader;
alter default privileges in schema raw grant select on tables to sevenfold_transformer;

set local role sevenfold_transformer;
alter default privileges in schema candidate grant select on tables to sevenfold_publisher;
alter default privileges in schema mdm grant select on tables to sevenfold_publisher;
alter default privileges in schema rules grant select on tables to sevenfold_auditor;
alter default privileges in schema quality grant select on tables to sevenfold_publisher, sevenfold_auditor;

set local role sevenfold_publisher;
alter default privileges in schema marts
    grant select on tables
    to sevenfold_transformer, sevenfold_bi_reader, sevenfold_pii_reader, sevenfold_auditor;
alter default privileges in schema restricted
    grant select on tables to sevenfold_transformer, sevenfold_pii_reader;

set local role none;

grant select on ops.schema_migrations to sevenfold_auditor;
comment on table ops.schema_migrations is 'One row per migration that this database has had.';
comment on column ops.schema_migrations.migration_number is 'Number of the migration, from 1 without a gap.';
comment on column ops.schema_migrations.migration_name is 'File name of the migration without its ending.';
comment on column ops.schema_migrations.content_sha256 is 'SHA-256 of the file as applied: a later change of it is refused.';
comment on column ops.schema_migrations.applied_at is 'When it was applied.';
