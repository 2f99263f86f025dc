"""`sevenfold explain`: why two records, or all records of a customer, are together or apart."""

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from expectations.report_folders import EXPLANATIONS
from sevenfold.errors import SevenfoldError
from sevenfold.settings import get_settings

if TYPE_CHECKING:
    from splink_models.explanation import Edge, PairExplanation

READER_ROLE = "transformer"
OF_JUDGEMENTS = {
    "judgement": "by a person's judgement",
    "reopened": "since what the records say has changed after a person's judgement",
    "conflict": "since judgements contradict each other, this one among them",
}
"""How a decision follows from a judgement, by `decided_by_code`."""
console = Console(highlight=False)


def explain(
    what: Annotated[
        list[str], typer.Argument(help="Two records (<source>:<key>), or one customer: its ID or one of its records.")
    ],
    with_values: Annotated[
        bool, typer.Option("--with-values", help="Show the values compared as well: personal data.")
    ] = False,
) -> None:
    """Say why two records, or a customer's records, are together or apart; with a picture in the reports folder."""
    if len(what) not in {1, 2} or len(set(what)) != len(what):
        raise SevenfoldError("Give two different records or one customer ID: sevenfold explain shop:1 till:7.")
    from sevenfold.warehouse import connect

    with connect(READER_ROLE) as connection:
        if len(what) == 2:
            _explain_pair(connection, what, with_values)
        else:
            _explain_customer(connection, what[0])


def _explain_pair(connection: Any, record_ids: list[str], with_values: bool) -> None:
    from splink_models.waterfall import page, table, waterfall

    pair, stored = explanation(connection, record_ids)
    sentences = [*_verdict(connection, pair, stored), _prior_sentence(pair), *_other_model(connection)]
    rows = _rows(pair, with_values)
    headings = ["Comparison", "What was found", "Bits", "Rarity", *(["Left", "Right"] if with_values else [])]
    title = f"{pair.left_record_id} and {pair.right_record_id}"
    shown = Table(title=title, title_justify="left", box=None)
    for heading in headings:
        shown.add_column(heading, justify="right" if heading in {"Bits", "Rarity"} else "left", overflow="fold")
    for row in rows:
        shown.add_row(*row)
    console.print(shown)
    for sentence in sentences:
        console.print(sentence, markup=False, soft_wrap=True)
    text = page(title, sentences, [waterfall(pair), table(headings, rows)])
    console.print(f"\nPicture  {_write(title, text)}", soft_wrap=True)


def explanation(connection: Any, record_ids: list[str]) -> tuple["PairExplanation", float | None]:
    """Explain a pair by the model that scored it; or, when it is not stored, by the one that scores now.

    Returns:
        The explanation, and the weight that is stored; None when the pair is not among the scores.
    """
    from splink_models.explanation import count_towns, explain_pair, model_of, read_records
    from splink_models.model import active_model
    from splink_models.shared_values import carried_demoted_values

    rows = read_records(connection, record_ids)
    left, right = sorted(record_ids, key=str.encode)
    scores = connection.execute(
        "select model_version, match_weight from intermediate.match_scores "
        "where left_record_id = %s and right_record_id = %s",
        (left, right),
    ).fetchall()
    if scores:
        version, weight = scores[0]
        model = model_of(version)
    else:
        model, weight = active_model(), None
        ((count,),) = connection.execute("select count(*) from intermediate.int_match_inputs").fetchall()
        version = model.version_for(count)
    demoted = carried_demoted_values(connection, rows)
    return explain_pair(model, version, rows, demoted, count_towns(connection)), weight


def _prior_sentence(pair: "PairExplanation") -> str:
    total = sum(step.total for step in pair.steps)
    return (
        f"Prior {pair.prior_weight:+.2f} bits, comparisons {total:+.2f}, sum {pair.match_weight:+.2f}: probability "
        f"{pair.match_probability:.6f}, by model {pair.model_version}."
    )


def _other_model(connection: Any) -> list[str]:
    """A sentence where scores and customers are of two models, as when the new one waits for approval."""
    ((scored, published),) = connection.execute(
        """
        select
            (select regexp_replace(max(model_version), '-[0-9]+$', '') from intermediate.match_scored_records),
            (
                select regexp_replace(model_version, '-[0-9]+$', '') from mdm.identity_ledger_runs
                order by recorded_at desc limit 1
            )
        """
    ).fetchall()
    if scored is None or published is None or scored == published:
        return []
    return [
        f"The scores and decisions are of model {scored}; the customers are those that model {published} made, until a "
        "run under the other is published (sevenfold model compare)."
    ]


def _verdict(connection: Any, pair: "PairExplanation", stored: float | None) -> list[str]:
    """Sentences: what was decided and by what, and in which customers the records are."""
    ids = (pair.left_record_id, pair.right_record_id)
    said = [_decision(connection, ids) or (_NOT_DECIDED if stored is not None else _why_not_stored(pair))]
    customers = dict(
        connection.execute(
            "select source_record_id, customer_id from mdm.identity_ledger_members where source_record_id = any(%s)",
            (list(ids),),
        ).fetchall()
    )
    owners = [customers.get(record_id) or "no customer" for record_id in ids]
    if owners[0] == owners[1] != "no customer":
        said.append(f"Both records belong to customer {owners[0]}.")
        said += _chain(connection, ids, owners[0])
    elif set(owners) == {"no customer"}:
        said.append("Neither record belongs to a customer yet.")
    else:
        said.append(f"The records are apart: {owners[0]} and {owners[1]}.")
        said += parted(connection, ids)
    if pair.crowded:
        said.append(f"Ignored, because too many records or given names share the value: {', '.join(pair.crowded)}.")
    return said


def _chain(connection: Any, ids: tuple[str, str], customer_id: str) -> list[str]:
    """How two records of one customer hang together when no join of their own does it."""
    from splink_models.explanation import chain_between

    record_ids = _members(connection, customer_id)
    joins = [edge for edge in _edges(connection, record_ids) if edge.decision_code == "join"]
    chain = chain_between(*ids, record_ids, joins)
    if not chain:
        return ["No chain of joins connects them: a judgement or the identity ledger does."]
    return [f"The strongest joins lead from one to the other over {' - '.join(chain[1:-1])}."] if len(chain) > 2 else []


def parted(connection: Any, ids: tuple[str, str]) -> list[str]:
    """Why two records whose groups have joins between them are apart: two must stay so, or the joins are too few."""
    groups = connection.execute(
        """
        select array_agg(components.source_record_id)
        from intermediate.match_components as components
        inner join intermediate.match_components as asked using (component_id)
        where asked.source_record_id = any(%s)
        group by asked.source_record_id
        """,
        (list(ids),),
    ).fetchall()
    if len(groups) != 2:
        return []
    (one,), (other,) = groups
    if set(one) == set(other):
        return ["The latest run put both into one group; the customers are of the last run that was published."]
    edges = _edges(connection, [*one, *other])
    between = [edge for edge in edges if (edge.left_record_id in one) != (edge.right_record_id in one)]
    joins = sum(edge.decision_code == "join" for edge in between)
    if not joins:
        return []
    apart = [edge for edge in between if edge.is_kept_apart]
    if apart:
        return [
            f"Their groups have {joins:,} joins between them, and were parted: {apart[0].left_record_id} and "
            f"{apart[0].right_record_id} may never be in one customer ({apart[0].guard_code or 'a judgement'})."
        ]
    return [
        f"Their groups have {joins:,} joins in {len(one) * len(other):,} pairs between them: too few to be one "
        "customer, or two records on the way between them may never be in one."
    ]


_NOT_DECIDED = "Scored, and not decided yet: the run that decides has not come to it."


def _why_not_stored(pair: "PairExplanation") -> str:
    from splink_models.settings import STORED_PROBABILITY

    if pair.match_probability < STORED_PROBABILITY:
        return f"Not stored: pairs below a probability of {STORED_PROBABILITY} are forgotten."
    return "Never compared: the records share no blocking key that few records carry. What follows is what would be."


def _decision(connection: Any, ids: tuple[str, str]) -> str | None:
    """What decided: the threshold, a guard, or a person; None when nothing did."""
    rows = connection.execute(
        "select to_jsonb(decisions) from intermediate.int_match_decisions as decisions "
        "where left_record_id = %s and right_record_id = %s",
        ids,
    ).fetchall()
    if not rows:
        return None
    decision = rows[0][0]
    words = {"join": "joined", "review": "waits for a person", "apart": "kept apart"}
    said = words.get(decision["decision_code"], decision["decision_code"])
    if how := OF_JUDGEMENTS.get(decision["decided_by_code"]):
        ((code, judge, day),) = connection.execute(
            "select judgement_code, decided_by, decided_at::date from mdm.match_judgements where judgement_id = %s",
            (decision["judgement_id"],),
        ).fetchall()
        return f"Decision: {said}, {how}: {code}, by {judge} on {day} (judgement {decision['judgement_id']})."
    if decision.get("guard_code"):
        described = connection.execute(
            "select description from rules.match_guards where guard_code = %s", (decision["guard_code"],)
        ).fetchall()
        reason = described[0][0] if described else "it is no longer among the guards"
        return f"Decision: {said}, held back by the guard {decision['guard_code']}: {reason}."
    minimum = connection.execute(
        "select minimum_probability from rules.match_decision_thresholds where decision_code = %s",
        (decision["decision_code"],),
    ).fetchall()
    return f"Decision: {said}, by the threshold{f' of {float(minimum[0][0]):g}' if minimum else ''}."


def _rows(pair: "PairExplanation", with_values: bool) -> list[list[str]]:
    rows = []
    for step in pair.steps:
        row = [step.comparison, step.level, f"{step.weight:+.2f}", f"{step.frequency_weight:+.2f}"]
        if with_values:
            row += ["; ".join(f"{name} {value}" for name, value in side.items()) for side in (step.left, step.right)]
        rows.append(row)
    return rows


def _explain_customer(connection: Any, customer_id: str) -> None:
    from splink_models.explanation import bond_of

    customer_id = _customer_of(connection, customer_id)
    record_ids = _members(connection, customer_id)
    if not record_ids:
        raise SevenfoldError(
            f"{customer_id} holds no record: it is no customer ID and no record of a customer, or it was retired "
            "(marts.map_customer_ids says into what)."
        )
    edges = _edges(connection, record_ids)
    joins = [edge for edge in edges if edge.decision_code == "join"]
    bond = bond_of(record_ids, joins)
    held_back = [edge for edge in edges if edge.guard_code is not None]
    sentences = [
        f"{len(record_ids)} records, {len(joins)} joins, {len(bond.bridges)} of them bridges "
        f"(without one of these it falls apart), {len(held_back)} pairs held back by a guard."
    ]
    if bond.weakest is not None:
        sentences.append(
            f"Weakest link: {bond.weakest.left_record_id} and {bond.weakest.right_record_id}, "
            f"{bond.weakest.match_weight:+.2f} bits, probability {bond.weakest.match_probability:.6f}."
        )
    if not bond.is_connected:
        sentences.append("Joins alone do not connect all records: a judgement or the identity ledger holds the others.")
    sentences += _other_model(connection)
    rows = [_edge_row(edge, bond.bridges) for edge in edges]
    _show_customer(customer_id, record_ids, sentences, rows)


def _show_customer(customer_id: str, record_ids: list[str], sentences: list[str], rows: list[list[str]]) -> None:
    from splink_models.waterfall import page, table

    headings = ["Left", "Right", "Bits", "Decision", "Note"]
    shown = Table(title=f"Customer {customer_id}", title_justify="left", box=None)
    for heading in headings:
        shown.add_column(heading, justify="right" if heading == "Bits" else "left", overflow="fold")
    for row in rows:
        shown.add_row(*row)
    console.print(shown)
    for sentence in sentences:
        console.print(sentence, markup=False, soft_wrap=True)
    parts = [table(["Record"], [[each] for each in record_ids]), table(headings, rows)]
    text = page(f"Customer {customer_id}", sentences, parts)
    console.print(f"\nPage  {_write(customer_id, text)}", soft_wrap=True)


def _customer_of(connection: Any, what: str) -> str:
    """The customer of a record; what is no record of a customer, as it is."""
    rows = connection.execute(
        "select customer_id from mdm.identity_ledger_members where source_record_id = %s", (what,)
    ).fetchall()
    return str(rows[0][0]) if rows else what


def _members(connection: Any, customer_id: str) -> list[str]:
    rows = connection.execute(
        "select source_record_id from mdm.identity_ledger_members where customer_id = %s "
        'order by source_record_id collate "C"',
        (customer_id,),
    )
    return [row[0] for row in rows]


def _edges(connection: Any, record_ids: list[str]) -> list["Edge"]:
    """All decided pairs among some records, strongest first."""
    from splink_models.explanation import Edge

    rows = connection.execute(
        """
        select
            left_record_id, right_record_id, match_weight, match_probability, decision_code, guard_code, is_kept_apart
        from intermediate.int_match_decisions
        where left_record_id = any(%(ids)s) and right_record_id = any(%(ids)s)
        order by match_weight desc, left_record_id collate "C", right_record_id collate "C"
        """,
        {"ids": record_ids},
    )
    return [Edge(*row) for row in rows]


def _edge_row(edge: "Edge", bridges: tuple["Edge", ...]) -> list[str]:
    note = f"guard {edge.guard_code}" if edge.guard_code else "bridge" if edge in bridges else ""
    return [edge.left_record_id, edge.right_record_id, f"{edge.match_weight:+.2f}", edge.decision_code, note]


def _write(title: str, text: str) -> Path:
    """Keep a page under the home's reports, for its owner alone; the name tells no key."""
    folder = get_settings().home / "reports" / EXPLANATIONS
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha256(title.encode()).hexdigest()[:16]}.html"
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    return path
