-- One row per snapshot date and interaction that a key links to a known party: the key of the best priority (paper, stage 5).
with interaction_keys as (
    select * from {{ ref('int_interaction_keys') }}
),

key_holders as (
    select * from {{ ref('int_key_holders') }}
),

snapshot_dates as (
    select * from {{ ref('int_snapshot_dates') }}
)

select distinct on (snapshot_dates.snapshot_date, interaction_keys.interaction_id)
    snapshot_dates.snapshot_date,
    interaction_keys.interaction_id,
    key_holders.party_key,
    key_holders.party_type_code,
    interaction_keys.key_kind_code as link_rule_code
from snapshot_dates
inner join key_holders on snapshot_dates.snapshot_date = key_holders.snapshot_date
inner join interaction_keys
    on
        key_holders.key_kind_code = interaction_keys.key_kind_code
        and key_holders.key_value = interaction_keys.key_value
where interaction_keys.occurred_at < snapshot_dates.snapshot_at
order by
    snapshot_dates.snapshot_date, interaction_keys.interaction_id, interaction_keys.link_priority
