"""Bare Splink 5: the models of its own documentation, and one generic recipe. Clusters: connected components at 0.95.

Runs in an environment of its own. Usage: splink_peer.py MODE SET RECORDS OUT, MODE documented or generic.

The documented models are those of Splink's example notebooks, unchanged: deduplicate_50k_synthetic (historical_50k),
febrl3, febrl4 (the detailed model), accuracy_analysis_from_labels_column (fake_1000). Where a notebook clusters at
another threshold than 0.95, or not at all, 0.95 is used, the threshold of its historical_50k notebook.
"""

import json
import sys
from pathlib import Path
from typing import Any

import duckdb
import splink.comparison_library as cl
from splink import DuckDBAPI, Linker, SettingsCreator, block_on

THRESHOLD = 0.95


def historical_50k() -> tuple[SettingsCreator, dict[str, Any]]:
    """Notebook deduplicate_50k_synthetic."""
    rules = [
        block_on("substr(first_name,1,3)", "substr(surname,1,4)"),
        block_on("surname", "dob"),
        block_on("first_name", "dob"),
        block_on("postcode_fake", "first_name"),
        block_on("postcode_fake", "surname"),
        block_on("dob", "birth_place"),
        block_on("substr(postcode_fake,1,3)", "dob"),
        block_on("substr(postcode_fake,1,3)", "first_name"),
        block_on("substr(postcode_fake,1,3)", "surname"),
        block_on("substr(first_name,1,2)", "substr(surname,1,2)", "substr(dob,1,4)"),
    ]
    comparisons = [
        cl.ForenameSurnameComparison(
            "first_name", "surname", forename_surname_concat_col_name="first_name_surname_concat"
        ),
        cl.DateOfBirthComparison("dob", input_is_string=True),
        cl.PostcodeComparison("postcode_fake"),
        cl.ExactMatch("birth_place").configure(term_frequency_adjustments=True),
        cl.ExactMatch("occupation").configure(term_frequency_adjustments=True),
    ]
    training = {
        "deterministic": [
            block_on("first_name", "surname", "dob"),
            block_on("substr(first_name,1,2)", "surname", "substr(postcode_fake,1,2)"),
            block_on("dob", "postcode_fake"),
        ],
        "recall": 0.6,
        "max_pairs": 1e7,
        "blocks": [block_on("first_name", "surname"), block_on("dob")],
        "without_terms": True,
    }
    return settings(rules, comparisons), training


def febrl3() -> tuple[SettingsCreator, dict[str, Any]]:
    """Notebook febrl3."""
    rules = [block_on(column) for column in ("soc_sec_id", "given_name", "surname", "date_of_birth", "postcode")]
    comparisons = [
        cl.NameComparison("given_name"),
        cl.NameComparison("surname"),
        cl.DateOfBirthComparison("date_of_birth", input_is_string=True, datetime_format="%Y%m%d"),
        cl.DamerauLevenshteinAtThresholds("soc_sec_id", [2]),
        cl.ExactMatch("street_number").configure(term_frequency_adjustments=True),
        cl.ExactMatch("postcode").configure(term_frequency_adjustments=True),
    ]
    training = {
        "deterministic": [
            block_on("soc_sec_id"),
            block_on("given_name", "surname", "date_of_birth"),
            "l.given_name = r.surname and l.surname = r.given_name and l.date_of_birth = r.date_of_birth",
        ],
        "recall": 0.9,
        "max_pairs": 1e6,
        "blocks": [block_on("date_of_birth"), block_on("postcode")],
        "without_terms": False,
    }
    return settings(rules, comparisons), training


def febrl4() -> tuple[SettingsCreator, dict[str, Any]]:
    """Notebook febrl4, the detailed model: a linkage of two files."""
    rules = [
        block_on("given_name", "surname"),
        "l.given_name = r.surname and l.surname = r.given_name",
        block_on("date_of_birth"),
        block_on("soc_sec_id"),
        block_on("state", "address_1"),
        block_on("street_number", "address_1"),
        block_on("postcode"),
    ]
    comparisons = [
        cl.NameComparison("given_name").configure(term_frequency_adjustments=True),
        cl.NameComparison("surname").configure(term_frequency_adjustments=True),
        cl.DateOfBirthComparison(
            "date_of_birth", input_is_string=True, datetime_format="%Y%m%d", invalid_dates_as_null=True
        ),
        cl.DamerauLevenshteinAtThresholds("soc_sec_id", [1, 2]),
        cl.ExactMatch("street_number").configure(term_frequency_adjustments=True),
        cl.DamerauLevenshteinAtThresholds("postcode", [1, 2]).configure(term_frequency_adjustments=True),
    ]
    training = {
        "deterministic": [block_on("soc_sec_id"), block_on("given_name", "surname", "date_of_birth")],
        "recall": 0.8,
        "max_pairs": 1e6,
        "blocks": [block_on("date_of_birth"), block_on("postcode")],
        "without_terms": True,
    }
    return settings(rules, comparisons, link_type="link_only"), training


def fake_1000() -> tuple[SettingsCreator, dict[str, Any]]:
    """Notebook accuracy_analysis_from_labels_column."""
    rules = [block_on(column) for column in ("first_name", "surname", "dob", "email")]
    comparisons = [
        cl.ForenameSurnameComparison("first_name", "surname"),
        cl.DateOfBirthComparison("dob", input_is_string=True),
        cl.ExactMatch("city").configure(term_frequency_adjustments=True),
        cl.EmailComparison("email"),
    ]
    training = {
        "deterministic": [
            "l.first_name = r.first_name and levenshtein(r.dob, l.dob) <= 1",
            "l.surname = r.surname and levenshtein(r.dob, l.dob) <= 1",
            "l.first_name = r.first_name and levenshtein(r.surname, l.surname) <= 2",
            "l.email = r.email",
        ],
        "recall": 0.7,
        "max_pairs": 1e6,
        "blocks": [block_on("dob"), block_on("email"), block_on("first_name", "surname")],
        "without_terms": True,
    }
    return settings(rules, comparisons), training


DOCUMENTED = {function.__name__: function for function in (historical_50k, febrl3, febrl4, fake_1000)}
COMPARISONS = {
    "name": lambda column: cl.NameComparison(column).configure(term_frequency_adjustments=True),
    "birth_date": lambda column: cl.DateOfBirthComparison(column, input_is_string=True, datetime_format="%Y-%m-%d"),
    "compact_birth_date": lambda column: cl.DateOfBirthComparison(
        column, input_is_string=True, datetime_format="%Y%m%d"
    ),
    "identifier": lambda column: cl.DamerauLevenshteinAtThresholds(column, [1, 2]),
    "email": cl.EmailComparison,
    "phone": lambda column: cl.DamerauLevenshteinAtThresholds(column, [1]),
    "address": lambda column: cl.JaroWinklerAtThresholds(column, [0.9, 0.8]),
    "postal_code": lambda column: cl.DamerauLevenshteinAtThresholds(column, [1]),
    "place": lambda column: cl.ExactMatch(column).configure(term_frequency_adjustments=True),
}


def generic(fields: dict[str, str]) -> tuple[SettingsCreator, dict[str, Any]]:
    """One recipe for any set: Splink's ready-made comparison for each kind of field, blocks of two agreeing fields."""
    of = {kind: [column for column, found in fields.items() if found == kind] for kind in COMPARISONS}
    of["birth_date"] += of["compact_birth_date"]
    single = [block_on(column) for kind in ("identifier", "email", "phone") for column in of[kind]]
    anchors = of["birth_date"] + of["postal_code"]
    names = [block_on(*of["name"][:2])] if len(of["name"]) > 1 else []
    pairs = [block_on(anchor, name) for anchor in anchors for name in of["name"]]
    both = [block_on(*anchors[:2])] if len(anchors) > 1 else []
    comparisons = [COMPARISONS[kind](column) for column, kind in fields.items() if kind in COMPARISONS]
    training = {
        "deterministic": [block_on(*of["name"][:2], *of["birth_date"]), *single],
        "recall": 0.7,
        "max_pairs": 1e7,
        "blocks": [*(block_on(column) for column in of["birth_date"]), *names],
        "without_terms": True,
    }
    return settings([*single, *names, *pairs, *both], comparisons), training


def settings(rules: list[Any], comparisons: list[Any], link_type: str = "dedupe_only") -> SettingsCreator:
    """Splink's settings with the names that this benchmark gives."""
    return SettingsCreator(
        link_type=link_type,  # type: ignore[arg-type]
        unique_id_column_name="record_id",
        blocking_rules_to_generate_predictions=rules,
        comparisons=comparisons,
    )


def cluster(mode: str, data_set: str, records: Path, fields: dict[str, str]) -> duckdb.DuckDBPyRelation:
    """Train, score, connect; columns record_id and cluster."""
    creator, training = generic(fields) if mode == "generic" else DOCUMENTED[data_set]()
    connection = duckdb.connect()
    api = DuckDBAPI(connection=connection)
    connection.execute(f"create table given as from read_parquet('{records}') order by record_id")
    if mode == "documented" and data_set == "historical_50k":
        connection.execute("alter table given add column first_name_surname_concat varchar")
        connection.execute("update given set first_name_surname_concat = first_name || ' ' || surname")
    tables = split(connection) if creator.link_type == "link_only" else ["given"]
    linker = Linker([api.register(table, dataset_display_name=f"in_{table}") for table in tables], creator)
    train(linker, training)
    pairs = linker.inference.predict(threshold_match_probability=0.2)
    found = linker.clustering.cluster_pairwise_predictions_at_threshold(pairs, threshold_match_probability=THRESHOLD)
    return found.as_duckdbpyrelation().project("record_id, cluster_id::varchar as cluster")


def split(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """One table per source, as a linkage needs it."""
    for source in ("febrl4_a", "febrl4_b"):
        connection.execute(f"create table {source} as from given where starts_with(record_id, '{source}:')")
    return ["febrl4_a", "febrl4_b"]


def train(linker: Linker, training: dict[str, Any]) -> None:
    """Estimate the prior, u and m."""
    linker.training.estimate_probability_two_random_records_match(training["deterministic"], recall=training["recall"])
    linker.training.estimate_u_using_random_sampling(max_pairs=training["max_pairs"], seed=1)
    for block in training["blocks"]:
        linker.training.estimate_parameters_using_expectation_maximisation(
            block, estimate_without_term_frequencies=training["without_terms"]
        )


if __name__ == "__main__":
    _, mode, data_set, records, out = sys.argv
    fields = json.loads(Path(records).with_suffix(".json").read_text(encoding="utf-8"))
    cluster(mode, data_set, Path(records), fields).write_parquet(out)
