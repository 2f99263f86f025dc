-- One row per two customers between which records move: the pair of records that says most about it. For a customer that is
-- merged, the strongest pair that joins; for one that is split, the pair that keeps both apart, a judgement before a score.
with members as (
    select * from {{ ref('ledger_members_proposed') }}
),

customers as (
    select * from {{ ref('ledger_customers_proposed') }}
),

ledger_members as (
    select * from {{ source('ledger', 'identity_ledger_members') }}
),

decisions as (
    select * from {{ ref('int_match_decisions') }}
),

moved as (
    select
        ledger_members.source_record_id,
        ledger_members.customer_id,
        members.customer_id as other_customer_id,
        coalesce(customers.redirected_to = members.customer_id, false) as is_merged
    from ledger_members
    inner join members on ledger_members.source_record_id = members.source_record_id
    inner join customers on ledger_members.customer_id = customers.customer_id
    where ledger_members.customer_id <> members.customer_id
),

pairs_of_moved as (
    select
        moved.*,
        decisions.right_record_id as met_record_id,
        decisions.*
    from moved
    inner join decisions on moved.source_record_id = decisions.left_record_id
    union all
    select
        moved.*,
        decisions.left_record_id as met_record_id,
        decisions.*
    from moved
    inner join decisions on moved.source_record_id = decisions.right_record_id
),

telling as (
    select
        pairs_of_moved.*,
        row_number() over (
            partition by pairs_of_moved.customer_id, pairs_of_moved.other_customer_id
            order by
                pairs_of_moved.decided_by_code = 'judgement' desc,
                pairs_of_moved.match_weight desc nulls last,
                pairs_of_moved.left_record_id collate "C",
                pairs_of_moved.right_record_id collate "C"
        ) as telling_number
    from pairs_of_moved
    inner join members as met_members on pairs_of_moved.met_record_id = met_members.source_record_id
    left join ledger_members as met_before on pairs_of_moved.met_record_id = met_before.source_record_id
    where
        case
            when pairs_of_moved.is_merged
                then
                    pairs_of_moved.decision_code = 'join'
                    and met_members.customer_id = pairs_of_moved.other_customer_id
                    and met_before.customer_id is distinct from pairs_of_moved.customer_id
            else
                pairs_of_moved.decision_code <> 'join'
                and met_members.customer_id <> pairs_of_moved.other_customer_id
                and met_before.customer_id = pairs_of_moved.customer_id
        end
)

select
    customer_id,
    other_customer_id,
    left_record_id,
    right_record_id,
    decided_by_code,
    judgement_id,
    match_probability
from telling
where telling_number = 1
