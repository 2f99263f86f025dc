-- One row per value that matching ignores, because too many records or given names share it: it joins nobody. Personal data.
select
    value_kind_code,
    shared_value,
    reason_code,
    record_count,
    given_name_count
from {{ source('linkage', 'match_demoted_values') }}
