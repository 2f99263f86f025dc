-- One row per snapshot date and party that has a valid contact point: its contact level (paper, stage 4).
with record_members as (
    select * from {{ ref('mdm_party_members') }}
    where
        member_kind_code = 'record'
        and snapshot_date in (select snapshot_dates.snapshot_date from {{ ref('int_snapshot_dates') }} as snapshot_dates)
),

interaction_members as (
    select * from {{ ref('mdm_party_members') }}
    where
        member_kind_code = 'interaction'
        and snapshot_date in (select snapshot_dates.snapshot_date from {{ ref('int_snapshot_dates') }} as snapshot_dates)
),

record_points as (
    select * from {{ ref('int_record_contact_points_by_date') }}
),

interaction_points as (
    select * from {{ ref('int_interaction_keys') }}
    where is_contact_point
),

contact_levels as (
    select * from {{ ref('contact_levels') }}
),

points as (
    select
        members.snapshot_date,
        members.party_id,
        members.member_id,
        members.member_since,
        record_points.contact_kind_code
    from record_members as members
    inner join record_points
        on
            members.snapshot_date = record_points.snapshot_date
            and members.member_id = record_points.source_record_id
    union all
    select
        members.snapshot_date,
        members.party_id,
        members.member_id,
        members.member_since,
        interaction_points.key_kind_code as contact_kind_code
    from interaction_members as members
    inner join interaction_points on members.member_id = interaction_points.interaction_id
),

pooled as (
    select
        snapshot_date,
        party_id,
        bool_or(contact_kind_code = 'email') as has_email,
        bool_or(contact_kind_code = 'phone') as has_phone,
        bool_or(contact_kind_code = 'address') as has_address,
        (array_agg(member_id order by member_since, member_id collate "C"))[1] as evidence_id
    from points
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
