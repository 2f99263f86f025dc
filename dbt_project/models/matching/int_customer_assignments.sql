-- One row per current customer record of a component with a record of quality 1-3: the customer ID that the ledger gives it,
-- and its entity level (paper, stages 2 and 3). An ID stays with the component that holds most of the records it was given to;
-- the oldest ID of a component survives; a part that leaves a merged customer gets back the ID that its records were given.
{{ config(tags=['identity'], indexes=[{'columns': ['source_record_id'], 'unique': true}]) }}

with components as (
    select * from {{ source('linkage', 'match_components') }}
),

namesakes as (
    select * from {{ ref('int_component_namesakes') }}
),

ledger_members as (
    select * from {{ source('ledger', 'identity_ledger_members') }}
),

ledger_customers as (
    select * from {{ source('ledger', 'identity_ledger_customers') }}
),

records as (
    select * from {{ ref('int_customer_records_standardised') }}
    where is_current
),

identified as (
    select
        components.source_record_id,
        components.component_id
    from components
    inner join namesakes on components.component_id = namesakes.component_id
    where not namesakes.is_namesake
),

claims as (
    select
        ledger_members.customer_id,
        identified.component_id,
        ledger_customers.sequence_number,
        row_number() over (
            partition by ledger_members.customer_id
            order by
                count(*) filter (where ledger_members.given_customer_id = ledger_members.customer_id) desc,
                count(*) desc,
                min(identified.source_record_id collate "C")
        ) as claim_number
    from identified
    inner join ledger_members on identified.source_record_id = ledger_members.source_record_id
    inner join ledger_customers on ledger_members.customer_id = ledger_customers.customer_id
    where ledger_customers.redirected_to is null
    group by 1, 2, 3
),

survivors as (
    select
        *,
        row_number() over (partition by component_id order by sequence_number) as survivor_number
    from claims
    where claim_number = 1
),

kept as (
    select
        component_id,
        customer_id,
        sequence_number
    from survivors
    where survivor_number = 1
),

-- The IDs that a merger redirected, where most of the records that they were given to are.
earlier_claims as (
    select
        ledger_members.given_customer_id as customer_id,
        identified.component_id,
        ledger_customers.sequence_number,
        row_number() over (
            partition by ledger_members.given_customer_id
            order by count(*) desc, min(identified.source_record_id collate "C")
        ) as claim_number
    from identified
    inner join ledger_members on identified.source_record_id = ledger_members.source_record_id
    inner join ledger_customers on ledger_members.given_customer_id = ledger_customers.customer_id
    where ledger_customers.redirected_to is not null
    group by 1, 2, 3
),

restored as (
    select distinct on (earlier_claims.component_id)
        earlier_claims.component_id,
        earlier_claims.customer_id,
        earlier_claims.sequence_number
    from earlier_claims
    left join kept on earlier_claims.component_id = kept.component_id
    where earlier_claims.claim_number = 1 and kept.component_id is null
    order by earlier_claims.component_id, earlier_claims.sequence_number
),

last_given as (
    select coalesce(max(sequence_number), 0) as sequence_number from ledger_customers
),

fresh as (
    select
        namesakes.component_id,
        last_given.sequence_number + row_number() over (
            order by namesakes.first_known_at, namesakes.component_id collate "C"
        ) as sequence_number
    from namesakes
    cross join last_given
    left join kept on namesakes.component_id = kept.component_id
    left join restored on namesakes.component_id = restored.component_id
    where not namesakes.is_namesake and kept.component_id is null and restored.component_id is null
),

customer_ids as (
    select
        component_id,
        customer_id,
        sequence_number
    from kept
    union all
    select
        component_id,
        customer_id,
        sequence_number
    from restored
    union all
    select
        component_id,
        'C' || lpad(cast(sequence_number as text), 10, '0') as customer_id,
        sequence_number
    from fresh
),

numbered as (
    select
        components.source_record_id,
        components.component_id,
        components.weakest_link,
        components.density,
        records.quality_level,
        namesakes.is_namesake,
        row_number() over (
            partition by components.component_id, records.quality_level <= 3
            order by records.valid_from, components.source_record_id collate "C"
        ) as appearance_number
    from components
    inner join namesakes on components.component_id = namesakes.component_id
    inner join records on components.source_record_id = records.source_record_id
)

select
    numbered.source_record_id,
    numbered.component_id,
    customer_ids.customer_id,
    customer_ids.sequence_number,
    -- A record that lacks a mandatory name has no level of its own.
    cast(
        case
            when numbered.quality_level > 3 then null
            when numbered.is_namesake then 3
            when numbered.appearance_number = 1 then 1
            else 2
        end as smallint
    ) as entity_level,
    numbered.weakest_link,
    numbered.density
from numbered
left join customer_ids on numbered.component_id = customer_ids.component_id
