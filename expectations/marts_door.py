"""The last door: may the candidate tables be published? Keys, states, personal data, jumps and control totals."""

from collections.abc import Iterable
from functools import partial

from great_expectations import expectations as gxe
from great_expectations.expectations.row_conditions import Column
from psycopg import sql

from expectations.column_controls import column_controls, placed_states
from expectations.controls import ENGINEER, STEWARD, Control
from expectations.drift import drift_controls
from expectations.gates import Connection, RunContext
from expectations.measures import ExpectMeasureToBeBetweenWherePresent
from expectations.thresholds import threshold
from sevenfold.publication import WITH_RUN

# The candidate tables that are published in the restricted schema, or are no mart.
MAY_HOLD_PERSONAL_DATA = (
    "golden_records",
    "golden_record_provenance",
    "golden_record_candidates",
    "steward_corrections",
    "contact_points",
    "customer_crosswalk",
    "match_review_queue",
    "demoted_values",
    "namesakes",
    "ledger_customers_proposed",
    "ledger_members_proposed",
    "ledger_events_proposed",
    "contact_ledger_proposed",
)
PERSONAL_COLUMNS = (
    *("full_name", "first_name", "middle_name", "first_last_name", "second_last_name", "full_name_key"),
    *("birth_date", "national_identifier", "email", "phone", "contact_value", "raw_value", "contact_key"),
    *("street_address", "street_address_key", "postal_code", "loyalty_number", "payment_token", "device_id"),
    *("receipt_number", "occupation", "attribute_value", "corrected_values", "shared_value"),
)

# The table with the rules beside it: all its controls are judged on this, in one scan.
PARTIES = """
    select
        parties.*,
        states.state_code is not null as is_known_state,
        states.is_placed,
        case when states.is_placed then parties.state_code end as placed_state_code,
        parties.is_identified = states.is_identified
        and parties.is_contactable = states.is_contactable
        and parties.is_traceable = states.is_traceable as do_flags_match
    from candidate.dim_parties as parties
    left join rules.customer_states as states on states.state_code = parties.state_code
"""
# Whatever stands before or after a personal name: `left_email` and `phone_2` are personal too; a count of them is not.
PERSONAL_NAME = rf"(^|_)({'|'.join(PERSONAL_COLUMNS)})(_|$)"
COLUMNS = """
    select column_name::text as column_name
    from information_schema.columns
    where
        table_schema = 'candidate'
        and table_name not in ('{}')
        and data_type in ('text', 'character varying', 'character', 'date', 'json', 'jsonb', 'ARRAY')
""".format("', '".join(MAY_HOLD_PERSONAL_DATA))  # noqa: S608  constants
# What this run would publish was measured when the gate began (quality.run_measures); what is published is counted.
STATE_SHARES = sql.SQL("""
    with candidate_shares as (
        select
            measures.subject_code as state_code,
            measures.measured_value / sum(measures.measured_value) over () as party_share
        from quality.run_measures as measures
        inner join rules.customer_states as states on states.state_code = measures.subject_code and states.is_placed
        where measures.run_id = {run_id} and measures.measure_code = 'state_share'
    ),
    published_shares as (
        select parties.state_code, count(*) / sum(count(*)) over () as party_share
        from marts.dim_parties as parties
        inner join rules.customer_states as states on states.state_code = parties.state_code and states.is_placed
        group by parties.state_code
    )
    select
        max(
            abs(coalesce(candidate_shares.party_share, 0) - coalesce(published_shares.party_share, 0))
        )::double precision as largest_jump
    from candidate_shares
    full join published_shares on published_shares.state_code = candidate_shares.state_code
""")
CUSTOMER_COUNTS = sql.SQL("""
    select
        (
            select measured_value
            from quality.run_measures
            where run_id = {run_id} and measure_code = 'customer_count'
        ) / nullif((select count(*) from marts.dim_customers), 0) as customer_count_ratio
""")
GOLDEN_COUNTS = """
    select customers.customer_count, golden_records.golden_record_count
    from (select count(*) as customer_count from candidate.dim_customers) as customers
    cross join (select count(*) as golden_record_count from candidate.golden_records) as golden_records
    where customers.customer_count <> golden_records.golden_record_count
"""

# The published runs that this one is compared with: of the same model, whatever the number of records, the latest.
RECENT_RUNS = """
    select run_id
    from quality.match_metrics
    where
        run_id <> %(run_id)s
        and as_of_date <= %(as_of_date)s
        and regexp_replace(model_version, '-[0-9]+$', '') = (
            select max(regexp_replace(model_version, '-[0-9]+$', '')) from candidate.match_metrics_proposed
        )
    group by run_id
    order by max(recorded_at) desc, run_id desc
    limit %(run_count)s
"""
# Of a histogram, half of the differences is the share that lies elsewhere.
DRIFT = sql.SQL("""
    with expected as (
        select metric_code, bucket_code, sum(metric_value) / {run_count} as metric_value
        from quality.match_metrics
        where run_id in ({runs})
        group by metric_code, bucket_code
    ),
    compared as (
        select
            metric_code,
            sum(abs(coalesce(found.metric_value, 0) - coalesce(expected.metric_value, 0))) as difference
        from candidate.match_metrics_proposed as found
        full join expected using (metric_code, bucket_code)
        group by metric_code
    )
    select max(case when is_histogram then difference / 2 else difference end) as drift
    from compared
    inner join rules.match_metrics as metrics using (metric_code)
    where metric_code in ({metrics})
""")


def controls(context: RunContext, connection: Connection) -> list[Control]:
    """The controls of the candidate tables; compared only with what stands for an earlier date or the same."""
    return [
        *_party_controls(),
        *_state_share_controls(),
        *_customer_controls(_customer_count(context, connection)),
        *_table_controls(),
        *column_controls("marts", WITH_RUN),
        *_comparison_controls(context, connection),
        *_drift_controls(*_recent_runs(context, connection)),
        *drift_controls("marts", context, connection),
        *_reconciliation_controls(),
        _consent_control(),
    ]


def _party_controls() -> list[Control]:
    about = partial(
        Control, gate_code="marts", table="candidate.dim_parties", joined=PARTIES, severity="critical", owner=ENGINEER
    )
    return [
        _key_control(about, "MARTS-PARTIES", "party", "party_id"),
        about(
            control_id="MARTS-PARTIES-STATE-KNOWN",
            columns=("state_code",),
            expectation=partial(gxe.ExpectColumnValuesToBeInSet, column="is_known_state", value_set=[True]),
            dimension_code="validity",
            critical_data_element="customer state",
            description="Every party is in one of the seven states of the rules, or counted as unplaced.",
            rationale="Shares over an eighth state would be the shares of something else.",
            what_to_do="Compare the states of candidate.dim_parties with the seed customer_states.",
        ),
        about(
            control_id="MARTS-PARTIES-FLAGS-MATCH-STATE",
            columns=("state_code", "is_identified", "is_contactable", "is_traceable"),
            expectation=partial(gxe.ExpectColumnValuesToBeInSet, column="do_flags_match", value_set=[True]),
            dimension_code="consistency",
            critical_data_element="customer state",
            description="The three flags of a party are those of its state in the rules.",
            rationale="The state is nothing but the three flags: a difference means two truths.",
            what_to_do="Join candidate.dim_parties to rules.customer_states by state, and see which flags differ.",
        ),
    ]


def _state_share_controls() -> list[Control]:
    state_x, unplaced = threshold("state_x_maximum"), threshold("unplaced_maximum")
    about = partial(
        Control,
        gate_code="marts",
        table="candidate.dim_parties",
        joined=PARTIES,
        severity="warning",
        owner=STEWARD,
        dimension_code="completeness",
    )
    return [
        about(
            control_id="MARTS-PARTIES-X-SHARE",
            columns=("state_code",),
            expectation=partial(
                gxe.ExpectColumnValuesToNotBeInSet,
                column="placed_state_code",
                value_set=["X"],
                mostly=1 - state_x,
            ),
            critical_data_element="customer state",
            description=f"At most {state_x:.0%} of the placed parties are anonymous buyers (state X).",
            rationale="The paper's retailer starts at 54 %; far above, the links of interactions are broken.",
            what_to_do="Compare linked_interaction_share by source in fct_source_coverage with the last report.",
        ),
        about(
            control_id="MARTS-PARTIES-UNPLACED-SHARE",
            columns=("state_code",),
            expectation=partial(
                gxe.ExpectColumnValuesToBeInSet, column="is_placed", value_set=[True], mostly=1 - unplaced
            ),
            critical_data_element="customer state",
            description=f"At most {unplaced:.0%} of the parties are unplaced: no identity, contact or trace.",
            rationale="Records of which nothing is usable are work for nobody; many of them are a broken source.",
            what_to_do="Count the unplaced parties by source in the report, and look at that source's field failures.",
        ),
    ]


def _customer_controls(customer_count: int) -> list[Control]:
    about = partial(Control, gate_code="marts", table="candidate.dim_customers", severity="critical", owner=ENGINEER)
    state = partial(about, columns=("state_code",), critical_data_element="customer state")
    golden = partial(Control, gate_code="marts", table="candidate.golden_records", severity="critical", owner=ENGINEER)
    return [
        _key_control(about, "MARTS-CUSTOMERS", "customer", "customer_id"),
        state(
            control_id="MARTS-CUSTOMERS-STATE-FILLED",
            expectation=partial(gxe.ExpectColumnValuesToNotBeNull, column="state_code"),
            dimension_code="completeness",
            description="Every customer has a state.",
            rationale="Who has none falls out of every figure by state.",
            what_to_do="Look for the join of candidate.dim_customers that found no state.",
        ),
        state(
            control_id="MARTS-CUSTOMERS-STATE-KNOWN",
            expectation=partial(gxe.ExpectColumnValuesToBeInSet, column="state_code", value_set=list(placed_states())),
            dimension_code="validity",
            description="Every customer is in one of the seven states.",
            rationale="A customer has identity, so none can be unplaced.",
            what_to_do="Compare the states of candidate.dim_customers with the seed customer_states.",
        ),
        _key_control(golden, "MARTS-GOLDEN-RECORDS", "golden record", "customer_id"),
        golden(
            control_id="MARTS-GOLDEN-RECORDS-COMPLETE",
            columns=("customer_id",),
            expectation=partial(gxe.ExpectTableRowCountToBeBetween, min_value=customer_count, max_value=customer_count),
            failing_rows=GOLDEN_COUNTS,
            dimension_code="consistency",
            critical_data_element="golden record",
            description="There are as many golden records as customers.",
            rationale="One best row per customer: no more, no fewer.",
            what_to_do="Anti-join candidate.golden_records and candidate.dim_customers by customer_id, both ways.",
        ),
    ]


def _customer_count(context: RunContext, connection: Connection) -> int:
    """The customers of this run, as measured when the gate began."""
    row = connection.execute(
        "select measured_value from quality.run_measures where run_id = %s and measure_code = 'customer_count'",
        (context.run_id,),
    ).fetchone()
    return int(float(str(row[0]))) if row else 0


def _key_control(about: "partial[Control]", code: str, words: str, column: str) -> Control:
    """That it stands once is asked by dbt before this door, and by the database when it is published."""
    return about(
        control_id=f"{code}-KEY-FILLED",
        columns=(column,),
        expectation=partial(gxe.ExpectColumnValuesToNotBeNull, column=column),
        dimension_code="completeness",
        critical_data_element=column.replace("_", " "),
        description=f"Every {words} has its {column}.",
        rationale="Readers join on it.",
        what_to_do="Look for the rows without it in the candidate table, and for the join that made them.",
    )


def _table_controls() -> list[Control]:
    about = partial(Control, gate_code="marts", severity="critical", owner=ENGINEER)
    filled = partial(
        about,
        dimension_code="completeness",
        rationale="Rules about rows hold on an empty table too.",
        what_to_do="Look at the stage before it: its models must have run for this as-of date.",
    )
    tables = [
        ("dim_parties", "PARTIES", "party"),
        ("fct_strategy_needs", "STRATEGY-NEEDS", "party"),
        ("fct_source_coverage", "SOURCE-COVERAGE", "source system"),
    ]
    return [
        *(
            filled(
                control_id=f"MARTS-{code}-PRESENT",
                table=f"candidate.{table}",
                expectation=partial(gxe.ExpectTableRowCountToBeBetween, min_value=1),
                critical_data_element=grain,
                description=f"{table} has rows.",
            )
            for table, code, grain in tables
        ),
        about(
            control_id="MARTS-NO-PERSONAL-COLUMNS",
            table="information_schema.columns",
            query=COLUMNS,
            expectation=partial(gxe.ExpectColumnValuesToNotMatchRegex, column="column_name", regex=PERSONAL_NAME),
            dimension_code="validity",
            critical_data_element="personal data",
            description="No table for the open marts has a column of personal data, however its name begins or ends.",
            rationale="The readers of marts have no right to personal data.",
            what_to_do="Take the column out of the model, or publish the model in the restricted schema.",
        ),
    ]


def _comparison_controls(context: RunContext, connection: Connection) -> list[Control]:
    """Against what is published; without anything to compare with they are met, and the result says so."""
    why_incomparable = "" if context.is_catalogue else _why_incomparable(context, connection)
    kept, jump = threshold("customers_kept_minimum"), threshold("state_jump_maximum")
    nothing = "select null::double precision as customer_count_ratio, null::double precision as largest_jump"
    about = partial(Control, gate_code="marts", owner=STEWARD, note=why_incomparable, dimension_code="consistency")
    return [
        about(
            control_id="MARTS-CUSTOMERS-NOT-FALLING",
            columns=("customer_id",),
            table="candidate.dim_customers",
            query=nothing if why_incomparable else CUSTOMER_COUNTS.format(run_id=context.run_id).as_string(connection),
            expectation=partial(ExpectMeasureToBeBetweenWherePresent, column="customer_count_ratio", min_value=kept),
            severity="critical",
            critical_data_element="customer",
            description=f"There are at least {kept:.0%} of the published customers.",
            rationale="Customers merge, but a fifth does not vanish in one run: a source or a threshold is wrong.",
            what_to_do="Compare the rows per source and the join decisions with the last report before anything else.",
        ),
        about(
            control_id="MARTS-PARTIES-STATE-JUMP",
            columns=("state_code",),
            table="candidate.dim_parties",
            query=nothing if why_incomparable else STATE_SHARES.format(run_id=context.run_id).as_string(connection),
            expectation=partial(ExpectMeasureToBeBetweenWherePresent, column="largest_jump", max_value=jump),
            severity="warning",
            critical_data_element="customer state",
            description=(f"The share of each state is within {jump:.0%} of all placed parties of what is published."),
            rationale="States move over quarters; a jump in one run is more often a fault than a success.",
            what_to_do="Look at the flows in the report, and at the sources that landed since the last published run.",
        ),
    ]


def _drift_controls(runs: list[str], why_incomparable: str) -> list[Control]:
    """Matching against the recent runs: a finding each, which stops nothing and is never silent."""
    about = partial(
        Control,
        gate_code="marts",
        table="candidate.match_metrics_proposed",
        severity="warning",
        dimension_code="consistency",
        critical_data_element="identity",
        owner=STEWARD,
        note=why_incomparable or f"compared with {len(runs)} runs",
    )
    return [
        about(
            control_id=f"MARTS-DRIFT-{code}",
            query=_drift_query(runs, metrics),
            expectation=partial(ExpectMeasureToBeBetweenWherePresent, column="drift", max_value=limit),
            description=f"{words} {limit:.0%} of the mean of the recent runs.",
            rationale=rationale,
            what_to_do=what_to_do,
        )
        for code, metrics, limit, words, rationale, what_to_do in _drifts()
    ]


def _drifts() -> list[tuple[str, tuple[str, ...], float, str, str, str]]:
    """What may drift: code, metrics, limit, and the control in words."""
    rates = ("joined_pair_share", "waiting_pair_share", "guarded_pair_share", "matched_record_share")
    return [
        (
            *("MATCH-RATES", rates, threshold("match_rate_jump_maximum"), "Every match rate is within"),
            "Rates move slowly; a jump is a source, a rule or a field that changed.",
            "Compare fct_match_metrics of the last runs, then the join decisions and the sources that landed.",
        ),
        (
            *("MATCH-WEIGHTS", ("match_weight",), threshold("match_weights_jump_maximum")),
            "The histogram of match weights is within",
            "Another mix of weights is other evidence: a field that no longer arrives, or arrives in another form.",
            "Compare the steps of match_weight in fct_match_metrics, and field failures by source.",
        ),
        (
            *("GROUP-SIZES", ("group_size",), threshold("group_sizes_jump_maximum")),
            "The histogram of the sizes of groups is within",
            "Groups that grow at once are chains of false joins, or a source that was delivered under new keys.",
            "Look at the largest groups in the review queue, and at the sources that landed.",
        ),
        (
            *("NAMESAKES", ("namesake_share",), threshold("namesakes_jump_maximum"), "The homonymy rate is within"),
            "Namesakes appear when a birth date or an identifier no longer arrives.",
            "See fct_namesake_resolutions for what would resolve them, and the sources that brought it before.",
        ),
    ]


def _drift_query(runs: list[str], metrics: tuple[str, ...]) -> str:
    if not runs:
        return "select null::double precision as drift"
    return DRIFT.format(run_count=len(runs), runs=_literals(runs), metrics=_literals(metrics)).as_string()


def _literals(values: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Literal, values))


def _recent_runs(context: RunContext, connection: Connection) -> tuple[list[str], str]:
    """The runs that matching is compared with; or none, and why."""
    if context.is_catalogue:
        return [context.run_id], ""
    row = connection.execute("select to_regclass('candidate.match_metrics_proposed') is not null").fetchone()
    if row != (True,):
        return [], "this run has no figures"
    values = {"run_id": context.run_id, "as_of_date": context.as_of_date}
    run_count = int(threshold("drift_runs_maximum"))
    runs = [str(run) for (run,) in connection.execute(RECENT_RUNS, values | {"run_count": run_count}).fetchall()]
    if not runs:
        return [], "no run of this matching model was published before"
    groups = connection.execute("select count(distinct component_id) from intermediate.match_components").fetchone()
    least = threshold("drift_groups_minimum")
    if groups is None or int(str(groups[0])) < least:
        return [], f"fewer than {least:.0f} groups of records: a comparison would tell chance"
    return runs, ""


def _reconciliation_controls() -> list[Control]:
    about = partial(
        Control,
        gate_code="marts",
        table="quality.reconciliation",
        dimension_code="accuracy",
        severity="critical",
        critical_data_element="control total",
        owner=ENGINEER,
        rationale="Nothing is lost: a row is used or refused, a record ends in a party, a party is counted.",
    )
    return [
        about(
            control_id="MARTS-RECONCILIATION-PRESENT",
            expectation=partial(gxe.ExpectTableRowCountToBeBetween, min_value=1),
            description="The control totals were computed.",
            what_to_do="Build the model reconciliation for this run.",
        ),
        about(
            control_id="MARTS-RECONCILIATION-ZERO",
            expectation=partial(gxe.ExpectColumnValuesToBeInSet, column="difference", value_set=[0]),
            description="Every control total balances: the difference is 0.",
            what_to_do="Find the row of quality.reconciliation with a difference, and anti-join its two sides.",
        ),
        about(
            control_id="MARTS-RECONCILIATION-FILLED",
            expectation=partial(gxe.ExpectColumnValuesToNotBeNull, column="difference"),
            description="Every control total has both of its sides.",
            what_to_do="Find the row of quality.reconciliation without a difference: one of its counts is missing.",
        ),
    ]


def _consent_control() -> Control:
    return Control(
        control_id="MARTS-CONSENTS-AGREE",
        gate_code="marts",
        table="mdm.mdm_consent_statements",
        columns=("is_contradicted",),
        expectation=partial(
            gxe.ExpectColumnValuesToBeInSet,
            column="is_contradicted",
            value_set=[False],
            row_condition=Column("is_latest") == True,  # noqa: E712  the engine's own grammar
        ),
        dimension_code="consistency",
        severity="warning",
        critical_data_element="consent",
        description="Nobody's latest word on a channel is a yes and a no at once, in one source or in two.",
        rationale="The no counts, so nobody is addressed against their will; but one of the sources is wrong.",
        what_to_do="See quality.contradicting_consents for the rows; the owners of the sources say which is right.",
        owner=STEWARD,
    )


def _why_incomparable(context: RunContext, connection: Connection) -> str:
    row = connection.execute(
        "select to_regclass('marts.dim_parties') is not null and to_regclass('marts.dim_customers') is not null"
    ).fetchone()
    if row != (True,) or context.published_as_of_date is None:
        return "nothing was published before"
    if context.published_as_of_date > context.as_of_date:
        return f"what is published is of a later date ({context.published_as_of_date})"
    return ""
