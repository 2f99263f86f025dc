-- One row per run, this one: how many records keep their customer, and what happens to customer IDs.
with members as (
    select * from {{ ref('ledger_members_proposed') }}
),

events as (
    select * from {{ ref('ledger_events_proposed') }}
),

scored_records as (
    select * from {{ source('linkage', 'match_scored_records') }}
),

ledger_members as (
    select * from {{ source('ledger', 'identity_ledger_members') }}
    where is_current
),

compared as (
    select
        count(members.customer_id) as record_count,
        count(*) filter (where members.customer_id is not null and ledger_members.customer_id is not null) as known_record_count,
        count(*) filter (where members.customer_id = ledger_members.customer_id) as kept_record_count,
        count(*) filter (where members.customer_id <> ledger_members.customer_id) as moved_record_count,
        count(*) filter (where ledger_members.customer_id is null) as new_record_count,
        count(*) filter (where members.customer_id is null) as released_record_count,
        count(distinct members.customer_id) as customer_count
    from members
    full join ledger_members on members.source_record_id = ledger_members.source_record_id
),

counted as (
    select
        count(distinct customer_id) filter (where event_code = 'created') as created_customer_count,
        count(distinct customer_id) filter (where event_code = 'merged') as merged_customer_count,
        count(distinct customer_id) filter (where event_code = 'split') as split_customer_count,
        count(distinct customer_id) filter (where event_code = 'restored') as restored_customer_count,
        count(distinct customer_id) filter (where event_code = 'retired') as retired_customer_count
    from events
),

scored as (
    select max(model_version collate "C") as model_version
    from scored_records
)

select
    scored.model_version,
    compared.*,
    counted.*
from compared
cross join counted
cross join scored
