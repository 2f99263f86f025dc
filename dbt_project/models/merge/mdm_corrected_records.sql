-- One row per correction in force: what a steward says in place of a record, normalised like any value (paper, stage 1).
-- A value that fails is blank here, with its failure, and so cannot survive.
with corrections as (
    select * from {{ source('stewardship', 'steward_corrections') }}
    where withdrawn_at is null
),

records as (
    select * from {{ ref('int_customer_records_standardised') }}
    where is_current
),

survivorship_attributes as (
    select * from {{ ref('survivorship_attributes') }}
),

normalised_values as (
    select * from {{ source('normaliser', 'normalised_values') }}
),

stated as (
    select
        corrections.correction_id,
        corrections.source_record_id,
        records.source_code,
        records.country_code,
        corrections.decided_at,
        survivorship_attributes.attribute_name,
        survivorship_attributes.field_kind,
        stated_values.raw_value
    from corrections
    cross join lateral jsonb_each_text(corrections.corrected_values) as stated_values (attribute_name, raw_value)
    inner join survivorship_attributes on stated_values.attribute_name = survivorship_attributes.attribute_name
    inner join records on corrections.source_record_id = records.source_record_id
),

checked as (
    select
        stated.*,
        stated.field_kind is null or normalised_values.field_kind is not null as is_checked,
        stated.field_kind = 'birth_date' and normalised_values.normalised_value > (stated.decided_at::date)::text as is_in_the_future,
        -- As in a record, an initial is enough for a middle name, and for no other.
        coalesce(
            normalised_values.normalised_value,
            case when stated.attribute_name = 'middle_name' then normalised_values.parts ->> 'initial' end,
            case when stated.field_kind is null then stated.raw_value end
        ) as attribute_value,
        normalised_values.failure_code
    from stated
    left join normalised_values
        on
            stated.field_kind = normalised_values.field_kind
            and stated.country_code = normalised_values.country_code
            and normalised_values.value_format = ''
            and md5(stated.raw_value) = normalised_values.raw_value_hash
),

judged as (
    select
        correction_id,
        source_record_id,
        source_code,
        decided_at,
        attribute_name,
        is_checked,
        case when is_in_the_future is not true then attribute_value end as attribute_value,
        case when is_in_the_future then 'in_the_future' when attribute_value is null then failure_code end as failure_code
    from checked
)

select
    correction_id,
    source_record_id,
    source_code,
    {% for attribute in golden_attributes() %}
        max(attribute_value) filter (where attribute_name = '{{ attribute }}') as {{ attribute }},
    {% endfor %}
    jsonb_object_agg(attribute_name, failure_code) filter (where failure_code is not null) as failures,
    decided_at
from judged
group by 1, 2, 3, decided_at
-- A correction that came during the run, after the normaliser, waits whole for the next run.
having bool_and(is_checked)
