-- One row per pair of records that waits for a person: both records side by side, the evidence, and what hangs on the
-- decision. Personal data.
with pairs as (
    select * from {{ ref('int_pairs_to_review') }}
),

match_guards as (
    select * from {{ ref('match_guards') }}
),

match_scores as (
    select * from {{ source('linkage', 'match_scores') }}
),

-- The bits of each comparison; levels stay behind.
scores as (
    select
        pairs.left_record_id,
        pairs.right_record_id,
        jsonb_object_agg(comparisons.comparison, comparisons.bits_and_level -> 0) as evidence
    from pairs
    inner join match_scores
        on
            pairs.left_record_id = match_scores.left_record_id
            and pairs.right_record_id = match_scores.right_record_id
    cross join lateral jsonb_each(match_scores.evidence) as comparisons (comparison, bits_and_level)
    group by pairs.left_record_id, pairs.right_record_id
),

inputs as (
    select * from {{ ref('int_match_inputs') }}
),

records as (
    select * from {{ ref('int_customer_records_standardised') }}
    where is_current
),

components as (
    select * from {{ source('linkage', 'match_components') }}
),

-- Who lacks a mandatory name may wait too, though he is no customer yet.
assignments as (
    select * from {{ ref('int_customer_assignments') }}
),

party_states as (
    select * from {{ ref('mdm_party_states') }}
    where snapshot_date = {{ as_of_date() }}
),

component_sizes as (
    select
        components.component_id,
        count(*) as component_record_count
    from components
    inner join inputs on components.source_record_id = inputs.source_record_id
    group by components.component_id
),

waiting_records as (
    select left_record_id as source_record_id from pairs
    union
    select right_record_id as source_record_id from pairs
),

sides as (
    select
        inputs.match_hash,
        components.component_id,
        assignments.customer_id,
        party_states.state_code,
        component_sizes.component_record_count,
        records.*
    from waiting_records
    inner join records on waiting_records.source_record_id = records.source_record_id
    inner join inputs on records.source_record_id = inputs.source_record_id
    inner join components on records.source_record_id = components.source_record_id
    inner join component_sizes on components.component_id = component_sizes.component_id
    left join assignments on records.source_record_id = assignments.source_record_id
    left join party_states on assignments.customer_id = party_states.party_id
)

select
    pairs.left_record_id,
    pairs.right_record_id,
    pairs.waiting_reason_code,
    pairs.guard_code,
    match_guards.description as guard_description,
    pairs.judgement_id,
    left_sides.match_hash as left_hash,
    right_sides.match_hash as right_hash,
    left_sides.customer_id as left_customer_id,
    right_sides.customer_id as right_customer_id,
    left_sides.state_code as left_state_code,
    right_sides.state_code as right_state_code,
    left_sides.first_name as left_first_name,
    right_sides.first_name as right_first_name,
    left_sides.middle_name as left_middle_name,
    right_sides.middle_name as right_middle_name,
    left_sides.first_last_name as left_first_last_name,
    right_sides.first_last_name as right_first_last_name,
    left_sides.second_last_name as left_second_last_name,
    right_sides.second_last_name as right_second_last_name,
    left_sides.national_identifier as left_national_identifier,
    right_sides.national_identifier as right_national_identifier,
    left_sides.gender as left_gender,
    right_sides.gender as right_gender,
    left_sides.email as left_email,
    right_sides.email as right_email,
    left_sides.phone as left_phone,
    right_sides.phone as right_phone,
    left_sides.street_address as left_street_address,
    right_sides.street_address as right_street_address,
    left_sides.postal_code as left_postal_code,
    right_sides.postal_code as right_postal_code,
    left_sides.city as left_city,
    right_sides.city as right_city,
    left_sides.birth_date as left_birth_date,
    right_sides.birth_date as right_birth_date,
    left_sides.payment_token as left_payment_token,
    right_sides.payment_token as right_payment_token,
    scores.evidence,
    pairs.match_weight,
    pairs.match_probability,
    pairs.expected_share,
    left_sides.component_record_count::integer as left_record_count,
    right_sides.component_record_count::integer as right_record_count,
    -- How many pairs of records the decision is expected to put right: joined that are apart, or parted that are joined.
    round((
        case
            when left_sides.component_id <> right_sides.component_id
                then
                    pairs.expected_share
                    * left_sides.component_record_count * right_sides.component_record_count
            else (1 - pairs.expected_share) * left_sides.component_record_count
        end
    )::numeric, 4) as priority_score,
    left_sides.component_id = right_sides.component_id as is_one_customer
from pairs
inner join sides as left_sides on pairs.left_record_id = left_sides.source_record_id
inner join sides as right_sides on pairs.right_record_id = right_sides.source_record_id
left join match_guards on pairs.guard_code = match_guards.guard_code
left join scores
    on
        pairs.left_record_id = scores.left_record_id
        and pairs.right_record_id = scores.right_record_id
-- Where other pairs join both already, a middling score asks nothing; what holds a pair back still does.
where left_sides.component_id <> right_sides.component_id or pairs.waiting_reason_code <> 'band'
