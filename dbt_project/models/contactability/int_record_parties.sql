-- One row per snapshot date and customer record: the party that holds it (paper, stage 4). A record without the
-- mandatory names joins the one customer who holds its contact point (under the same given name, when it has one);
-- otherwise records of one group of contact points form a contact. A namesake joins nobody.
with versions as (
    select * from {{ ref('int_record_versions_by_date') }}
),

contact_points as (
    select * from {{ ref('int_contact_points') }}
),

link_rules as (
    select * from {{ ref('link_rules') }}
),

contact_groups as (
    select * from {{ ref('int_contact_groups') }}
),

unidentified_points as materialized (
    select * from {{ ref('int_record_contact_points_by_date') }}
    where customer_id is null
),

-- Whom a point belongs to matters only where somebody unidentified has it: on any date, since dates multiply points.
asked_points as materialized (
    select
        contact_points.raw_id,
        contact_points.source_code,
        contact_points.contact_kind_code,
        contact_points.contact_value
    from contact_points
    inner join link_rules on contact_points.contact_kind_code = link_rules.key_kind_code
    where
        link_rules.links_interactions
        and (contact_points.contact_kind_code, contact_points.contact_value) in (
            select
                unidentified_points.contact_kind_code,
                unidentified_points.contact_value
            from unidentified_points
        )
),

customer_points as (
    select
        versions.snapshot_date,
        versions.customer_id,
        versions.given_name_canonical,
        asked_points.contact_kind_code,
        asked_points.contact_value
    from versions
    inner join asked_points
        on
            versions.raw_id = asked_points.raw_id
            and versions.source_code = asked_points.source_code
    where versions.customer_id is not null
),

holders as (
    select
        snapshot_date,
        contact_kind_code,
        contact_value,
        min(customer_id collate "C") as customer_id
    from customer_points
    group by 1, 2, 3
    having min(customer_id collate "C") = max(customer_id collate "C")
),

holders_by_given_name as (
    select
        snapshot_date,
        contact_kind_code,
        contact_value,
        given_name_canonical,
        min(customer_id collate "C") as customer_id
    from customer_points
    group by 1, 2, 3, 4
    having min(customer_id collate "C") = max(customer_id collate "C")
),

held as (
    select
        unidentified_points.snapshot_date,
        unidentified_points.source_record_id,
        unidentified_points.contact_kind_code,
        unidentified_points.link_priority,
        contact_groups.group_key as contact_key,
        case
            when unidentified_points.entity_level = 3 then null
            when unidentified_points.given_name_canonical is null then holders.customer_id
            else holders_by_given_name.customer_id
        end as customer_id
    from unidentified_points
    inner join contact_groups
        on unidentified_points.contact_kind_code || ':' || unidentified_points.contact_value = contact_groups.contact_key
    left join holders
        on
            unidentified_points.snapshot_date = holders.snapshot_date
            and unidentified_points.contact_kind_code = holders.contact_kind_code
            and unidentified_points.contact_value = holders.contact_value
    left join holders_by_given_name
        on
            unidentified_points.snapshot_date = holders_by_given_name.snapshot_date
            and unidentified_points.contact_kind_code = holders_by_given_name.contact_kind_code
            and unidentified_points.contact_value = holders_by_given_name.contact_value
            and unidentified_points.given_name_canonical = holders_by_given_name.given_name_canonical
),

chosen as (
    select
        *,
        row_number() over (
            partition by snapshot_date, source_record_id
            order by (customer_id is null), link_priority, contact_key collate "C"
        ) as choice_number
    from held
),

placed as (
    select
        versions.*,
        chosen.contact_kind_code,
        chosen.contact_key,
        chosen.customer_id as contact_customer_id
    from versions
    left join chosen
        on
            versions.snapshot_date = chosen.snapshot_date
            and versions.source_record_id = chosen.source_record_id
            and chosen.choice_number = 1
)

select
    snapshot_date,
    source_record_id,
    source_code,
    raw_id,
    coalesce(customer_id, contact_customer_id, contact_key, 'source_customer_key:' || source_record_id) as party_key,
    case
        when coalesce(customer_id, contact_customer_id) is not null then 'customer'
        when contact_key is not null then 'contact'
        else 'anonymous'
    end as party_type_code,
    case
        when customer_id is not null then coalesce('entity_level_' || entity_level, 'matched')
        else contact_kind_code
    end as link_rule_code,
    country_code,
    quality_level,
    entity_level,
    has_email,
    has_phone,
    has_address,
    valid_from
from placed
