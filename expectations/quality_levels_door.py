"""The second door, after completeness: is every raw row accounted for, and is what was standardised sound?"""

import datetime as dt
from functools import partial
from typing import LiteralString

from great_expectations import expectations as gxe
from great_expectations.expectations.row_conditions import Column
from psycopg import sql

from expectations.controls import ENGINEER, STEWARD, Control
from expectations.drift import drift_controls
from expectations.gates import Connection, RunContext
from expectations.measures import ExpectMeasureToBeBetweenWherePresent
from expectations.raw_door import JUDGED_BATCHES
from expectations.thresholds import threshold
from sources.normaliser.reference import field_limit

RECORDS = "intermediate.int_customer_records_standardised"

# A contact field holds one value, or several joined by a semicolon.
EMAILS = r"^[^@;[:space:]]+@[^@;[:space:]]+\.[^@;[:space:]]+(;[^@;[:space:]]+@[^@;[:space:]]+\.[^@;[:space:]]+)*$"
PHONES = r"^\+[1-9][0-9]{5,14}(;\+[1-9][0-9]{5,14})*$"

# What landed comes from the batches, which the first door has found equal to the raw tables. Unusable is what waits in
# quarantine of the rows that no published run has used yet, as at the first door: a broken delivery does not hide
# behind years of good ones, and what its source has corrected counts no more.
ACCOUNTS: LiteralString = """
    with landed as (
        select source_code, entity_code, coalesce(sum(rows_landed), 0)::bigint as row_count
        from ops.extract_batches
        group by source_code, entity_code
    ),
    batches as (
        -- A source whose clock is ahead, by its time zone, is a day at most.
        select batch_id, extracted_at + interval '1 day' as latest_at from ops.extract_batches
    ),
    record_keys as (
        select
            records.source_code,
            records.batch_id,
            records.source_record_id,
            count(*) as row_count,
            count(*) filter (where records.recorded_at > batches.latest_at) as in_future_count,
            max(records.recorded_at) filter (where records.recorded_at < {as_of_date}::date + 1) as newest_at
        from staging.stg_customer_records as records
        left join batches on records.batch_id = batches.batch_id
        group by records.source_code, records.batch_id, records.source_record_id
    ),
    standardised_batches as (
        select
            source_code,
            'customer_records' as entity_code,
            batch_id,
            sum(row_count)::bigint as row_count,
            count(*) as key_count,
            sum(in_future_count)::bigint as in_future_count,
            max(newest_at) as newest_at
        from record_keys
        group by source_code, batch_id
        union all
        select
            interactions.source_code,
            'interactions' as entity_code,
            interactions.batch_id,
            count(*) as row_count,
            null as key_count,
            count(*) filter (where interactions.occurred_at > batches.latest_at) as in_future_count,
            max(interactions.occurred_at) filter (where interactions.occurred_at < {as_of_date}::date + 1) as newest_at
        from staging.stg_interactions as interactions
        left join batches on interactions.batch_id = batches.batch_id
        group by interactions.source_code, interactions.batch_id
        union all
        select
            consents.source_code,
            'consents' as entity_code,
            consents.batch_id,
            count(*) as row_count,
            null as key_count,
            count(*) filter (where consents.recorded_at > batches.latest_at) as in_future_count,
            max(consents.recorded_at) filter (where consents.recorded_at < {as_of_date}::date + 1) as newest_at
        from staging.stg_consents as consents
        left join batches on consents.batch_id = batches.batch_id
        group by consents.source_code, consents.batch_id
    ),
    standardised as (
        select source_code, entity_code, sum(row_count)::bigint as row_count, max(newest_at) as newest_at
        from standardised_batches
        group by source_code, entity_code
    ),
    refused as (
        select source_code, entity_code, batch_id, count(*) as row_count, count(*) filter (where is_open) as open_count
        from quality.quarantined_rows
        group by source_code, entity_code, batch_id
    ),
    quarantined as (
        select source_code, entity_code, sum(row_count)::bigint as row_count
        from refused
        group by source_code, entity_code
    ),
    judged as (
        {judged}
    ),
    unusable as (
        select batch_id, sum(open_count) as row_count
        from refused
        group by batch_id
    ),
    contradicted as (
        select batch_id, count(*) as row_count
        from quality.conflicting_duplicates
        where is_open
        group by batch_id
    ),
    judged_counts as (
        select
            judged.source_code,
            judged.entity_code,
            coalesce(sum(unusable.row_count), 0)::double precision as unusable_count,
            coalesce(sum(contradicted.row_count), 0)::double precision as contradicted_count,
            coalesce(sum(standardised_batches.in_future_count), 0)::double precision as in_future_count,
            sum(standardised_batches.row_count)::double precision / sum(standardised_batches.key_count) as rows_per_key,
            sum(judged.rows_landed) as row_count
        from judged
        left join unusable on unusable.batch_id = judged.batch_id
        left join contradicted on contradicted.batch_id = judged.batch_id
        left join standardised_batches on standardised_batches.batch_id = judged.batch_id
        group by judged.source_code, judged.entity_code
    ),
    judged_shares as (
        select
            source_code,
            entity_code,
            unusable_count,
            unusable_count / nullif(row_count, 0) as unusable_share,
            contradicted_count,
            contradicted_count / nullif(row_count, 0) as contradicted_share,
            in_future_count / nullif(row_count, 0) as in_future_share,
            rows_per_key
        from judged_counts
    )
    select
        contracts.source_code || ' ' || contracts.entity_code as account_code,
        coalesce(landed.row_count, 0) as landed_count,
        coalesce(standardised.row_count, 0) + coalesce(quarantined.row_count, 0) as accounted_count,
        judged_shares.unusable_share,
        case when judged_shares.unusable_count >= {rows_minimum} then judged_shares.unusable_share end
            as unusable_share_of_many,
        judged_shares.contradicted_share,
        case when judged_shares.contradicted_count >= {rows_minimum} then judged_shares.contradicted_share end
            as contradicted_share_of_many,
        judged_shares.in_future_share,
        judged_shares.rows_per_key,
        {as_of_date}::date - (standardised.newest_at at time zone coalesce(contracts.time_zone, 'UTC'))::date
            as days_behind
    from ops.source_contracts as contracts
    left join landed using (source_code, entity_code)
    left join standardised using (source_code, entity_code)
    left join quarantined using (source_code, entity_code)
    left join judged_shares using (source_code, entity_code)
    where contracts.is_active
"""


def controls(context: RunContext, connection: Connection) -> list[Control]:
    """The controls of the standardised customer records and of the control totals of every active contract."""
    rows = connection.execute(
        """
        select
            source_code, entity_code, coalesce(owner, 'source owner'), coalesce(minimum_rows, 0),
            case
                when exists (
                    select from ops.source_contract_fields as fields
                    where
                        fields.source_code = contracts.source_code and fields.entity_code = contracts.entity_code
                        and fields.field_name in ('recorded_at', 'occurred_at') and fields.value_format <> ''
                ) then ceil(extract(epoch from freshness) / 86400)::integer
            end
        from ops.source_contracts as contracts
        where is_active
        order by source_code collate "C", entity_code collate "C"
        """
    ).fetchall()
    contracts = [
        (str(source), str(entity), str(owner), None if days is None else int(str(days)))
        for source, entity, owner, _, days in rows
    ]
    fewest = int(threshold("unusable_critical_rows_minimum"))
    judged = sql.SQL(JUDGED_BATCHES).format(run_id=context.run_id)
    as_of_date = context.as_of_date.isoformat()
    accounts = sql.SQL(ACCOUNTS).format(judged=judged, rows_minimum=fewest, as_of_date=as_of_date).as_string(connection)
    are_records_promised = any(entity == "customer_records" and minimum for _, entity, _, minimum, _ in rows)
    return [
        *(control for contract in contracts for control in _account_controls(accounts, *contract)),
        *_record_controls(context, are_records_promised),
        *drift_controls("quality_levels", context, connection),
    ]


def _account_controls(accounts: str, source_code: str, entity_code: str, owner: str, days: int | None) -> list[Control]:
    code = f"QL-{source_code}-{entity_code}".upper()
    words = f"{source_code}, {entity_code.replace('_', ' ')}"
    this_account = Column("account_code") == f"{source_code} {entity_code}"
    about = partial(Control, gate_code="quality_levels", table="quality.quarantined_rows", query=accounts)
    unusable = partial(
        about,
        dimension_code="validity",
        critical_data_element="source record",
        owner=owner,
        rationale="Single bad rows are refused with a reason; many are a broken delivery and would shrink the figures.",
        what_to_do="`sevenfold quarantine list` says how many and why; the source's owner corrects the rows.",
    )
    contradicted = partial(
        about,
        dimension_code="uniqueness",
        critical_data_element="source record id",
        owner=owner,
        rationale="Rows of one key are one record, whose last counts. Where many share a key it is none (a spreadsheet "
        "rounds long numbers), and different people become one.",
        what_to_do="Look at the keys of the delivery (`sevenfold source check`); correct key in the contract, or have "
        "it delivered again and supersede the bad batch.",
    )
    share = partial(ExpectMeasureToBeBetweenWherePresent, row_condition=this_account)
    most_per_key = threshold("rows_per_key_maximum")
    rows_per_key = contradicted(
        control_id=f"{code}-ROWS-PER-KEY",
        expectation=partial(share, column="rows_per_key", max_value=most_per_key),
        severity="critical",
        description=f"{words}: of a key the new deliveries hold at most {most_per_key:g} rows on average.",
    )
    freshness = about(
        control_id=f"{code}-FRESHNESS",
        expectation=partial(
            gxe.ExpectColumnMaxToBeBetween, column="days_behind", max_value=days, row_condition=this_account
        ),
        dimension_code="timeliness",
        severity="warning",
        critical_data_element="recorded at",
        owner=owner,
        description=f"{words}: the newest row is at most {days} days older than the as-of date.",
        rationale="States and contact points age: a source that stopped makes them look stable.",
        what_to_do="Ask the source's owner whether the feed stopped, or correct freshness in the contract.",
    )
    fewest, most = threshold("unusable_critical_rows_minimum"), threshold("unusable_critical_maximum")
    return [
        about(
            control_id=f"{code}-RECONCILED",
            expectation=partial(
                gxe.ExpectColumnPairValuesToBeEqual,
                column_A="landed_count",
                column_B="accounted_count",
                row_condition=this_account,
            ),
            dimension_code="accuracy",
            severity="critical",
            critical_data_element="source record",
            owner=ENGINEER,
            description=f"{words}: raw rows = standardised rows + quarantined rows.",
            rationale="Nothing is lost: each raw row is used, or refused with a reason.",
            what_to_do="Find the raw_id that staging and quality.quarantined_rows do not hold, or hold twice.",
        ),
        unusable(
            control_id=f"{code}-UNUSABLE",
            expectation=partial(share, column="unusable_share", max_value=threshold("unusable_warning_maximum")),
            severity="warning",
            description=f"{words}: few new rows are unusable (in quarantine, and not corrected since).",
        ),
        unusable(
            control_id=f"{code}-UNUSABLE-LIMIT",
            expectation=partial(share, column="unusable_share_of_many", max_value=most),
            severity="critical",
            description=f"{words}: the unusable new rows (in quarantine, not corrected since) stay below the limit, "
            f"which holds from {fewest:.0f} of them on.",
        ),
        about(
            control_id=f"{code}-NOT-IN-FUTURE",
            expectation=partial(share, column="in_future_share", max_value=threshold("in_future_maximum")),
            dimension_code="validity",
            severity="critical",
            critical_data_element="recorded at",
            owner=owner,
            description=f"{words}: few new rows have a time later than the day after they were extracted.",
            rationale="A row is known from its time on: with a time to come it stays where it is, and no run uses it.",
            what_to_do="Ask the source's owner for the true times and supersede the bad batch, or correct the time's "
            "format or column in the contract.",
        ),
        contradicted(
            control_id=f"{code}-CONTRADICTED",
            expectation=partial(
                share, column="contradicted_share", max_value=threshold("contradicted_warning_maximum")
            ),
            severity="warning",
            description=f"{words}: few new rows are contradicted by a later one of the same delivery, key and time.",
        ),
        contradicted(
            control_id=f"{code}-CONTRADICTED-LIMIT",
            expectation=partial(
                share,
                column="contradicted_share_of_many",
                max_value=threshold("contradicted_critical_maximum"),
            ),
            severity="critical",
            description=f"{words}: the new rows that a later one of the same delivery, key and time contradicts stay "
            f"below the limit, which holds from {fewest:.0f} of them on.",
        ),
        *([rows_per_key] if entity_code == "customer_records" else []),
        *([] if days is None else [freshness]),
    ]


def _record_controls(context: RunContext, are_records_promised: bool) -> list[Control]:
    about = partial(Control, gate_code="quality_levels", table=RECORDS, owner=ENGINEER, severity="critical")
    return [
        about(
            control_id="QL-RECORDS-PRESENT",
            expectation=partial(gxe.ExpectTableRowCountToBeBetween, min_value=int(are_records_promised)),
            dimension_code="completeness",
            critical_data_element="customer record",
            description="There are customer records where a contract promises any.",
            rationale="Rules about rows hold on an empty table too.",
            what_to_do="Look at quality.quarantined_rows: most often a contract names the wrong key or time.",
        ),
        about(
            control_id="QL-SOURCE-RECORD-ID-FILLED",
            expectation=partial(gxe.ExpectColumnValuesToNotBeNull, column="source_record_id"),
            dimension_code="completeness",
            critical_data_element="source record id",
            description="Every standardised record carries its source record id.",
            rationale="Identity, lineage and the ledger hang on it.",
            what_to_do="Rows without a key belong in quality.quarantined_rows: repair the staging model of the source.",
        ),
        *_quality_level_controls(about),
        *_value_controls(about, context),
    ]


def _quality_level_controls(about: "partial[Control]") -> list[Control]:
    level_four = threshold("quality_level_four_maximum")
    level = partial(about, dimension_code="validity", critical_data_element="identity quality level")
    return [
        level(
            control_id="QL-LEVEL-FILLED",
            expectation=partial(gxe.ExpectColumnValuesToNotBeNull, column="quality_level"),
            description="Every standardised record has an identity quality level.",
            rationale="A record without a level would fall out of matching unseen.",
            what_to_do="Find the combination that the seed identity_quality_levels lacks.",
        ),
        level(
            control_id="QL-LEVEL-RANGE",
            expectation=partial(gxe.ExpectColumnValuesToBeInSet, column="quality_level", value_set=[1, 2, 3, 4]),
            description="The identity quality level is 1, 2, 3 or 4.",
            rationale="The method knows four levels.",
            what_to_do="Compare the seed identity_quality_levels with the paper's table.",
        ),
        level(
            control_id="QL-LEVEL-FOUR-SHARE",
            expectation=partial(
                gxe.ExpectColumnValuesToNotBeInSet,
                column="quality_level",
                value_set=[4],
                mostly=1 - level_four,
            ),
            severity="warning",
            dimension_code="completeness",
            owner=STEWARD,
            description=f"At most {level_four:.0%} of the records lack a mandatory name (level 4).",
            rationale="Level 4 has no identity; a jump is a broken column mapping more often than new habits.",
            what_to_do="Compare the levels by source in the report, and the mapping in the contract of the worst one.",
        ),
    ]


def _value_controls(about: "partial[Control]", context: RunContext) -> list[Control]:
    earliest = dt.date(field_limit("birth_date", "earliest_year"), 1, 1)
    value = partial(
        about,
        dimension_code="validity",
        rationale="What fails the rules of its field is blanked before this door: one such value is our fault.",
        what_to_do="Find its kind in intermediate.normalised_values, and the normaliser's rule that let it pass.",
    )
    return [
        value(
            control_id="QL-BIRTH-DATE-PLAUSIBLE",
            expectation=partial(
                gxe.ExpectColumnValuesToBeBetween,
                column="birth_date",
                min_value=earliest,
                max_value=context.as_of_date,
            ),
            critical_data_element="birth date",
            description=f"Birth dates lie between {earliest} and the as-of date.",
        ),
        value(
            control_id="QL-EMAIL-SHAPE",
            expectation=partial(gxe.ExpectColumnValuesToMatchRegex, column="email", regex=EMAILS),
            critical_data_element="e-mail",
            description="E-mail addresses have the shape name@domain.",
        ),
        value(
            control_id="QL-PHONE-SHAPE",
            expectation=partial(gxe.ExpectColumnValuesToMatchRegex, column="phone", regex=PHONES),
            critical_data_element="phone",
            description="Phone numbers are international: a plus, the country, the number.",
        ),
    ]
