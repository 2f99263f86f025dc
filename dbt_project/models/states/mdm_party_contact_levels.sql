-- One row per snapshot date and party that has a valid contact point: its contact level (paper, stage 4).
with members as (
    select * from {{ ref('mdm_party_members') }}
    where
        (has_email or has_phone or has_address)
        and snapshot_date in (select snapshot_dates.snapshot_date from {{ ref('int_snapshot_dates') }} as snapshot_dates)
),

contact_levels as (
    select * from {{ ref('contact_levels') }}
),

pooled as (
    select
        snapshot_date,
        party_id,
        bool_or(has_email) as has_email,
        bool_or(has_phone) as has_phone,
        bool_or(has_address) as has_address,
        (array_agg(member_id order by member_since, member_id collate "C"))[1] as evidence_id
    from members
    group by 1, 2
)

select
    pooled.snapshot_date,
    pooled.party_id,
    contact_levels.contact_level::smallint as contact_level,
    pooled.evidence_id,
    contact_levels.is_contactable
from pooled
inner join contact_levels
    on
        pooled.has_email = contact_levels.has_email
        and pooled.has_phone = contact_levels.has_phone
        and pooled.has_address = contact_levels.has_address
