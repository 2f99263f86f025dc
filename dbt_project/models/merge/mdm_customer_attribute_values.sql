-- One row per customer and attribute: the value that survived, the record it came from and the criterion that decided
-- (paper, stage 3). Criteria and their order: seed survivorship_criteria; groups of attributes: seed survivorship_rules.
{% set groups = {
    'name': ['first_name', 'middle_name', 'first_last_name', 'second_last_name'],
    'birth_date': ['birth_date'],
    'national_identifier': ['national_identifier'],
    'gender': ['gender'],
    'email': ['email'],
    'phone': ['phone'],
    'address': ['street_address', 'postal_code', 'city', 'region'],
} %}

with crosswalk as (
    select * from {{ ref('mdm_customer_crosswalk') }}
    where customer_id is not null
),

records as (
    select * from {{ ref('int_customer_records_standardised') }}
    where is_current
),

contracts as (
    select distinct
        source_code,
        touchpoint_code
    from {{ source('ops', 'source_contracts') }}
),

touchpoints as (
    select * from {{ ref('touchpoints') }}
),

survivorship_rules as (
    select * from {{ ref('survivorship_rules') }}
),

customer_records as (
    select
        crosswalk.customer_id,
        touchpoints.trust_rank,
        records.*
    from crosswalk
    inner join records on crosswalk.source_record_id = records.source_record_id
    inner join contracts on records.source_code = contracts.source_code
    inner join touchpoints on contracts.touchpoint_code = touchpoints.touchpoint_code
),

candidates as (
    {% for group, attributes in groups.items() %}
        select
            customer_id,
            source_record_id,
            '{{ group }}' as attribute_group_code,
            array[{{ attributes | join('::text, ') }}::text] as attribute_values,
            num_nonnulls({{ attributes | join(', ') }}) as filled_count,
            trust_rank,
            valid_from
        from customer_records
        where num_nonnulls({{ attributes | join(', ') }}) > 0
        {{ 'union all' if not loop.last }}
    {% endfor %}
),

compared as (
    select
        *,
        count(*) over (partition by customer_id, attribute_group_code, attribute_values) as agreeing_count
    from candidates
),

ranked as (
    select
        *,
        row_number() over ranking as candidate_number,
        -- By what the winner beats its runner-up is the criterion that decided.
        lead(attribute_values) over ranking as next_values,
        lead(filled_count) over ranking as next_filled_count,
        lead(agreeing_count) over ranking as next_agreeing_count,
        lead(trust_rank) over ranking as next_trust_rank,
        lead(valid_from) over ranking as next_valid_from
    from compared
    window ranking as (
        partition by customer_id, attribute_group_code
        order by
            filled_count desc, agreeing_count desc, trust_rank asc, valid_from desc, source_record_id collate "C" asc
    )
),

winners as (
    select
        customer_id,
        source_record_id,
        attribute_group_code,
        attribute_values,
        case
            when next_values is null then 'only_record'
            when next_filled_count < filled_count then 'completeness'
            when next_agreeing_count < agreeing_count or next_values = attribute_values then 'agreement'
            when next_trust_rank > trust_rank then 'source_trust'
            when next_valid_from < valid_from then 'recency'
            else 'record_order'
        end as criterion_code
    from ranked
    where candidate_number = 1
),

attribute_numbers as (
    {% for group, attributes in groups.items() %}
        {% set group_loop = loop %}
        {% for attribute in attributes %}
            select
                '{{ group }}' as attribute_group_code,
                '{{ attribute }}' as attribute_name,
                {{ loop.index }} as attribute_number
            {{ 'union all' if not (loop.last and group_loop.last) }}
        {% endfor %}
    {% endfor %}
)

select
    winners.customer_id,
    survivorship_rules.attribute_name,
    winners.attribute_values[attribute_numbers.attribute_number] as attribute_value,
    winners.source_record_id,
    winners.criterion_code
from winners
inner join attribute_numbers on winners.attribute_group_code = attribute_numbers.attribute_group_code
inner join survivorship_rules on attribute_numbers.attribute_name = survivorship_rules.attribute_name
where winners.attribute_values[attribute_numbers.attribute_number] is not null
