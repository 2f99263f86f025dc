-- One row per customer, attribute and candidate, winner and losers, where not all candidates say the same. Personal data.
-- Where they do, golden_record_provenance has the value and their number, and customer_crosswalk the records.
with candidates as not materialized (
    select * from {{ ref('mdm_customer_attribute_candidates') }}
),

survivorship_attributes as (
    select * from {{ ref('survivorship_attributes') }}
),

contested as (
    select
        customer_id,
        attribute_group_code
    from candidates
    where not is_winning_value
    group by 1, 2
),

listed as (
    select
        candidates.*,
        survivorship_attributes.attribute_name,
        candidates.attribute_values[survivorship_attributes.attribute_number] as attribute_value
    from candidates
    inner join contested
        on
            candidates.customer_id = contested.customer_id
            and candidates.attribute_group_code = contested.attribute_group_code
    inner join survivorship_attributes on candidates.attribute_group_code = survivorship_attributes.attribute_group_code
),

explained as (
    select
        *,
        case when attribute_value is null then failures ->> attribute_name end as failure_code
    from listed
)

select
    customer_id,
    attribute_name,
    candidate_rank,
    attribute_value,
    source_record_id,
    source_code,
    correction_id,
    lost_by_criterion_code,
    failure_code,
    filled_count,
    source_count,
    record_count,
    trust_rank,
    is_valid,
    known_at
from explained
where attribute_value is not null or failure_code is not null
