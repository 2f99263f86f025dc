-- One row per current customer record of quality 1-3: the customer ID that the ledger gives it, and its entity level
-- (paper, stages 2 and 3). An ID stays with the component that holds most of its records; the oldest ID of a component survives.
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

shared_records as (
    select
        ledger_members.customer_id,
        identified.component_id,
        ledger_customers.sequence_number,
        count(*) as record_count,
        min(identified.source_record_id collate "C") as first_record_id
    from identified
    inner join ledger_members on identified.source_record_id = ledger_members.source_record_id
    inner join ledger_customers on ledger_members.customer_id = ledger_customers.customer_id
    group by 1, 2, 3
),

claims as (
    select
        *,
        row_number() over (
            partition by customer_id
            order by record_count desc, first_record_id collate "C"
        ) as claim_number
    from shared_records
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
    where not namesakes.is_namesake and kept.component_id is null
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
        'C' || lpad(cast(sequence_number as text), 10, '0') as customer_id,
        sequence_number
    from fresh
),

numbered as (
    select
        components.source_record_id,
        components.component_id,
        namesakes.is_namesake,
        row_number() over (
            partition by components.component_id
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
    cast(
        case
            when numbered.is_namesake then 3
            when numbered.appearance_number = 1 then 1
            else 2
        end as smallint
    ) as entity_level
from numbered
left join customer_ids on numbered.component_id = customer_ids.component_id
