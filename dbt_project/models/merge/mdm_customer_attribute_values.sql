-- One row per customer and attribute: the value that survived, the record it came from and the criterion that decided
-- (paper, stage 3): the first by which it beats the best candidate that says something else.
with candidates as not materialized (
    select * from {{ ref('mdm_customer_attribute_candidates') }}
),

survivorship_attributes as (
    select * from {{ ref('survivorship_attributes') }}
),

winners as (
    select * from candidates
    where candidate_rank = 1 and is_valid
),

rivals as (
    select distinct on (customer_id, attribute_group_code)
        customer_id,
        attribute_group_code,
        lost_by_criterion_code
    from candidates
    where not is_winning_value
    order by customer_id, attribute_group_code, candidate_rank
)

select
    winners.customer_id,
    survivorship_attributes.attribute_name,
    winners.attribute_values[survivorship_attributes.attribute_number] as attribute_value,
    winners.source_record_id,
    winners.correction_id,
    winners.candidate_count,
    coalesce(
        rivals.lost_by_criterion_code,
        case when winners.candidate_count = 1 then 'only_record' else 'only_value' end
    ) as criterion_code
from winners
inner join survivorship_attributes on winners.attribute_group_code = survivorship_attributes.attribute_group_code
left join rivals
    on
        winners.customer_id = rivals.customer_id
        and winners.attribute_group_code = rivals.attribute_group_code
where winners.attribute_values[survivorship_attributes.attribute_number] is not null
