-- One row per kind of value and reason: how many values matching ignores, since too many records or given names share them.
with demoted_values as (
    select * from {{ source('linkage', 'match_demoted_values') }}
),

shared_value_limits as (
    select * from {{ ref('shared_value_limits') }}
)

select
    demoted_values.value_kind_code,
    demoted_values.reason_code,
    shared_value_limits.maximum_records,
    shared_value_limits.maximum_given_names,
    count(*) as value_count,
    sum(demoted_values.record_count)::bigint as carrier_count,
    max(demoted_values.record_count) as largest_record_count,
    max(demoted_values.given_name_count) as largest_given_name_count
from demoted_values
inner join shared_value_limits on demoted_values.value_kind_code = shared_value_limits.value_kind_code
group by 1, 2, 3, 4
