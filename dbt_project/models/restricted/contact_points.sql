-- One row per customer or contact and valid contact point at the run's date. Personal data.
with members as (
    select * from {{ ref('mdm_party_members') }}
    where snapshot_date = {{ as_of_date() }} and member_kind_code = 'record'
),

points as (
    select * from {{ ref('int_record_contact_points_by_date') }}
    where snapshot_date = {{ as_of_date() }}
)

select
    members.party_id,
    points.contact_kind_code,
    points.contact_value,
    count(*)::integer as record_count,
    min(points.valid_from) as first_known_at
from members
inner join points on members.member_id = points.source_record_id
group by 1, 2, 3
