"""What happened in a run, in sentences and verdicts."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from expectations.access import deviations
from expectations.figures import Figures, Row
from expectations.words import count, date, moment, share, words

GATES = ("raw", "quality_levels", "marts")
ALL_CHECKS = (*GATES, "publication", "snapshot", "dbt")  # in the order in which a page shows them


@dataclass(frozen=True)
class Verdict:
    """One gate in counts and a word."""

    gate_code: str
    word: str
    passed: int
    failed: int
    errors: int
    warnings: int


def gate_verdicts(controls: Iterable[Row]) -> list[Verdict]:
    """One verdict per gate, in the order of the run; a gate without results was not reached."""
    by_gate: dict[str, list[Row]] = {gate: [] for gate in GATES}
    for control in controls:
        by_gate.setdefault(control["gate_code"], []).append(control)
    order = {gate: place for place, gate in enumerate(ALL_CHECKS)}
    return [_verdict(gate, by_gate[gate]) for gate in sorted(by_gate, key=lambda gate: order.get(gate, len(order)))]


def _verdict(gate_code: str, controls: list[Row]) -> Verdict:
    counts = Counter(control["status_code"] for control in controls)
    stops = [
        control
        for control in controls
        if control["status_code"] == "error" or (control["severity_code"] == "critical" and _is_open(control))
    ]
    if not controls:
        word = "Not reached"
    elif stops:
        word = "Failed"
    else:
        word = "Passed with warnings" if counts["failed"] else "Passed"
    warnings = counts["failed"] - sum(control["status_code"] == "failed" for control in stops)
    return Verdict(gate_code, word, counts["passed"], counts["failed"], counts["error"], warnings)


def _is_open(control: Row) -> bool:
    """Whether it failed and nobody accepted it."""
    return bool(control["status_code"] == "failed" and control["exception_id"] is None)


def summary(figures: Figures) -> list[str]:
    """What happened, in sentences."""
    parts = (
        _outcome,
        _late_words,
        _input_words,
        _gate_words,
        _evidence_words,
        _access_words,
        _exception_words,
        _reconciliation_words,
        _namesake_words,
        _state_words,
        _saturation_words,
    )
    return [sentence for part in parts for sentence in part(figures)]


def _outcome(figures: Figures) -> list[str]:
    run, published = figures.run, figures["published_run"]
    day = date(run["as_of_date"])
    if run["status_code"] == "published":
        return [
            f"The run was published for {day}: {count(run['rows_published'])} rows were written, changed or removed."
        ]
    if run["status_code"] == "nothing_new":
        return [f"Nothing was new for {day}: what is published stays as it is.", run["message"]]
    said = [f"The run for {day} was not published." if run["status_code"] == "failed" else f"The run for {day} runs."]
    failed = [verdict.gate_code for verdict in gate_verdicts(figures["controls"]) if verdict.word == "Failed"]
    if failed:
        said.append(f"It was stopped by the gate {' and the gate '.join(failed)}.")
    elif run["failed_task"]:
        said.append(f"It was stopped in {run['failed_task']}.")
    if published:
        said.append(f"The last published run stays: {published[0]['run_id']}, for {date(published[0]['as_of_date'])}.")
        said.append("The states and customers on this page are those of that run.")
    else:
        said.append("Nothing has been published yet.")
    return said


def _late_words(figures: Figures) -> list[str]:
    """What is not kept by run is, on a page that was written later, of then."""
    return [
        f"This page was written when a later run, {row['run_id']}, had begun on {moment(row['started_at'])}: "
        "contracts, rules, rights and what waits in quarantine are as they were when it was written."
        for row in figures["next_run"]
    ]


def _input_words(figures: Figures) -> list[str]:
    batches = figures["batches"]
    if not batches:
        return ["No source was read."]
    counts = Counter(batch["status_code"] for batch in batches)
    landed = sum(batch["rows_landed"] or 0 for batch in batches)
    deliveries = len({(batch["source_code"], batch["entity_code"]) for batch in batches})
    read = "1 delivery was read" if deliveries == 1 else f"{deliveries} deliveries were read"
    said = f"{read}: {count(landed)} new rows"
    others = [f"{number} {words(status)}" for status, number in sorted(counts.items()) if status != "landed"]
    sentences = [f"{said} (batches: {', '.join(others)})." if others else f"{said}."]
    if earlier := figures["earlier_batches"]:
        rows = sum(batch["rows_landed"] or 0 for batch in earlier)
        what = "goes 1 row" if rows == 1 else f"go {count(rows)} rows"
        sentences.append(f"With them {what} that earlier runs read and none published.")
    return sentences


def _gate_words(figures: Figures) -> list[str]:
    """Every control that was in force, in numbers that add up."""
    controls = figures["control_catalogue"] or figures["controls"]
    if not controls:
        return ["No gate was reached."]
    counts = Counter(control["status_code"] for control in controls)
    critical = sum(control["severity_code"] == "critical" and _is_open(control) for control in controls)
    accepted = sum(control["exception_id"] is not None for control in controls)
    empty = sum(control["status_code"] == "passed" and control["tested_count"] == 0 for control in controls)
    said = [
        f"{counts['passed']} of {len(controls)} controls passed{f' ({empty} had nothing to test)' if empty else ''}"
    ]
    if counts["failed"]:
        of_them = f"{critical} critical, {accepted} accepted" if accepted else f"{critical} critical"
        said.append(f"{counts['failed']} failed ({of_them})")
    if counts["error"]:
        said.append(f"{counts['error']} could not run")
    idle = Counter(why_not_run(figures, control) for control in controls if control["status_code"] == "not_run")
    said += [f"{number} did not run ({why})" for why, number in idle.most_common()]
    return [", ".join(said) + ".", *_earlier_doors(figures)]


def _earlier_doors(figures: Figures) -> list[str]:
    """Doors of a run that was opened again, and not asked since: their findings are of before."""
    asked = {row["gate_code"]: row["checked_at"] for row in figures["controls"] if row["gate_code"] != "dbt"}
    return [
        f"The gate {gate_code} was asked on {moment(at)}, before this run was opened again, and not since."
        for gate_code, at in asked.items()
        if at < figures.run["started_at"]
    ]


def why_not_run(figures: Figures, control: Row) -> str:
    """Why a control that was in force has neither passed nor failed."""
    run, published = figures.run, figures["published_run"]
    if run["status_code"] == "running":
        return "the run has not come so far"
    if run["failed_task"]:
        return f"the run was stopped before, in {run['failed_task']}"
    if published and published[0]["as_of_date"] > run["as_of_date"] and control["gate_code"] == "publication":
        return "the run looks back, and replaces nothing"
    if not any(result["gate_code"] == "snapshot" for result in figures["controls"]):
        return "no quarter was due, so what it judges was not made"
    return "what it judges was not made in this run"


def _evidence_words(figures: Figures) -> list[str]:
    """What is published of past quarters, and the evidence itself, where they are not as they were."""
    changed = [
        control["control_id"]
        for control in figures["controls"]
        if control["control_id"].startswith(("EVIDENCE-", "HISTORY-")) and control["status_code"] != "passed"
    ]
    said = [f"The evidence, or what was published before, does not hold: {', '.join(changed)}."] if changed else []
    if problems := figures["evidence_problems"]:
        number = "1 thing is" if len(problems) == 1 else f"{count(len(problems))} things are"
        said.append(f"When this page was written, {number} not as the chain of evidence has it (Sign-off).")
    restated = sorted({row["quarter"] for row in figures["restatements"] if row["run_id"] == figures.run["run_id"]})
    if restated:
        said.append(f"Published before, and restated by this run: the quarters to {', '.join(restated)}.")
    return said


def acceptance(control: Row) -> str:
    """Who accepted a failure, by which login, how far and why."""
    number = control["exception_id"]
    return f"{_accepted_by(control)} (exception {number}): {control['exception_reason']}"


def _accepted_by(control: Row) -> str:
    login = f" (login {control['exception_recorded_by']})" if control["exception_recorded_by"] else ""
    reach = "for this run alone" if control["exception_run_id"] else f"until {date(control['exception_ends_on'])}"
    return f"{control['exception_by']}{login} {reach}"


def _access_words(figures: Figures) -> list[str]:
    found = len(deviations(figures["grants"]))
    number = "1 right is" if found == 1 else f"{count(found)} rights are"
    return [f"{number} not as declared (Access)."] if found else []


def _exception_words(figures: Figures) -> list[str]:
    """What somebody accepted; what one person accepted for one reason, as of many warnings at once, in one sentence."""
    alike: dict[tuple[str, str], list[Row]] = {}
    for control in figures["controls"]:
        if control["exception_id"] is not None:
            alike.setdefault((_accepted_by(control), control["exception_reason"]), []).append(control)
    return [
        f"{controls[0]['control_id']} failed and was accepted by {acceptance(controls[0])}"
        if len(controls) == 1
        else f"{len(controls)} controls failed and were accepted by {by}: {reason}"
        for (by, reason), controls in alike.items()
    ]


def _reconciliation_words(figures: Figures) -> list[str]:
    totals = figures["reconciliation"]
    if not totals:
        return []  # not reached
    wrong = [total for total in totals if total["difference"] != 0]
    if not wrong:
        return [f"Nothing was lost: {len(totals)} of {len(totals)} control totals balance."]
    return [f"{len(wrong)} of {len(totals)} control totals do not balance."]


def _namesake_words(figures: Figures) -> list[str]:
    for row in figures["match_metrics"]:
        if row["metric_code"] == "namesake_share":
            before = row["value_before"]
            said = f"The homonymy rate, the share of people who cannot be told apart, is {share(row['metric_value'])}"
            return [f"{said}." if before is None else f"{said}, after {share(before)} in the run before."]
    return []


def _state_words(figures: Figures) -> list[str]:
    rows = [row for row in figures.shares_of("everyone") if row["state_code"] == "A"]
    if not rows:
        return []
    first, last = rows[0], rows[-1]
    said = f"On {date(last['snapshot_date'])}, {share(last['party_share'])} of all placed parties are in state A"
    if len(rows) == 1:
        return [said + "."]
    return [f"{said}, from {share(first['party_share'])} on {date(first['snapshot_date'])}."]


def _saturation_words(figures: Figures) -> list[str]:
    fits = [row for row in figures["saturation_fits"] if row["fit_code"] == "observed"]
    fits.sort(key=lambda row: row["population_code"])
    for row in fits:
        if row["saturation_low"] is not None:
            return [
                f"The share of A in the population {words(row['population_code'])} levels off at "
                f"{share(row['saturation_share'])} (95 % interval {share(row['saturation_low'])} to "
                f"{share(row['saturation_high'])}), with a time constant of {row['time_constant_months']:.1f} months."
            ]
    return ["There are too few quarters, or no saturation yet, to say where the share of A levels off."] if fits else []
