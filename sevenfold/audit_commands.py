"""The commands under `sevenfold audit`: the evidence of what runs did, and the proof that nobody changed it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from sevenfold.errors import SevenfoldError
from sevenfold.review_commands import DecidedBy
from sevenfold.terminal import print_entry

if TYPE_CHECKING:
    from sevenfold.audit import Chain

app = typer.Typer(no_args_is_help=True, help="The evidence of what each run did, and the proof that it is as recorded.")
console = Console(highlight=False)


@app.command("verify")
def verify() -> None:
    """Prove the chain of evidence, and that what was read, judged, decided and published is as it has it."""
    for note in _notes():
        console.print(note, soft_wrap=True)
    chain, report_count = _proved()
    console.print(
        f"The chain of evidence is whole: {chain.entry_count:,} entries, the last {chain.last_hash}", soft_wrap=True
    )
    console.print(_reach(chain.entry_count, report_count))


def _notes() -> list[str]:
    """What is no fault by itself, and an auditor wants to know."""
    from sevenfold import audit

    notes = [
        f"Run {run_id} went on after it had ended, and ended {count} times: each end is on record."
        for run_id, count in audit.reopened_runs().items()
    ]
    notes += [
        f"The login {login} can do what no reader may, by {roles}." for login, roles in audit.pipeline_members().items()
    ]
    notes += audit.restatements()
    notes += [
        f"Of run {run_id} {len(folders)} reports are on record: {', '.join(folders)}."
        for run_id, folders in audit.report_versions().items()
    ]
    if open_run := audit.open_run():
        run_id, ended_in = open_run
        before = f" It had ended before, in entry {ended_in}." if ended_in else ""
        notes.append(f"Run {run_id} goes on: what it reads and its controls find is not compared yet.{before}")
    if unrecorded := audit.unrecorded_runs():
        notes.append(
            f"{len(unrecorded)} ended and went not on record, as a run that died until the next begins: "
            f"{', '.join(unrecorded)}. Otherwise entries were removed."
        )
    return notes


def _proved() -> tuple["Chain", int]:
    """Prove the evidence; give the chain, and how many reports on this machine vouch for it.

    Raises:
        SevenfoldError: Something is not as the chain has it, or the chain not as it was.
    """
    from expectations.report_folders import all_folders, audit_hashes, manifest_hash
    from sevenfold import audit

    chain = audit.verify()
    if chain.broken_entry is not None:
        raise SevenfoldError(
            f"The chain of evidence breaks at entry {chain.broken_entry} of {chain.entry_count}: {chain.problem}. "
            "From there on it proves nothing. Compare with a backup, and with the manifests of the reports."
        )
    reports = {folder.name: manifest_hash(folder) for folder in all_folders()}
    recorded = audit.recorded_manifests()
    missing = [*audit.missing_hashes(audit_hashes()), *(name for name in reports if name not in recorded)]
    if missing:
        raise SevenfoldError(
            f"The chain of evidence is whole in itself, but not the one that the report in {missing[0]} refers to: "
            "entries were removed at its end, or all of it was written anew. Compare with a backup."
        )
    problems = [
        *audit.problems(),
        *(
            f"The manifest of the report in {name}: it is another."
            for name in reports
            if reports[name] != recorded[name]
        ),
        *audit.idle_triggers(),
    ]
    if problems:
        raise SevenfoldError(
            "\n".join(
                [
                    "The chain of evidence is whole, but not all is as the chain has it, or kept so:",
                    *(f"- {problem}" for problem in problems),
                    "What was decided stands in audit.entries, under the events exception, exception_end and "
                    "judgement; what was delivered, under inputs; what controls found, under controls. `sevenfold run "
                    "--full` publishes the tables of the snapshots as they are computed. A trigger is enabled again by "
                    "the owner of its table.",
                ]
            )
        )
    return chain, len(reports)


def _reach(entry_count: int, report_count: int) -> str:
    """Say how far something outside the warehouse vouches for the chain."""
    if not report_count:
        return (
            "No report is on this machine, so entries that were removed at its end could not be seen. Run this where "
            "the reports are, or compare the last hash with one that was noted before."
        )
    from sevenfold import audit

    said = "1 report on this machine vouches" if report_count == 1 else f"{report_count} reports on this machine vouch"
    newer = entry_count - audit.last_report_entry()
    return f"{said} for it{f', but for the {newer:,} newest entries' if newer else ''}."


@app.command("sign-off")
def sign_off(
    run: Annotated[str, typer.Argument(help="A run, or its report's folder.")],
    by: DecidedBy,
    comment: Annotated[str, typer.Option("--comment", help="What was looked at, and found. No personal data.")],
    refused: Annotated[bool, typer.Option("--refused", help="The report is not accepted.")] = False,
    as_preparer: Annotated[bool, typer.Option("--as-preparer", help="Default: as the one who reviews it.")] = False,
) -> None:
    """Say that you have reviewed a run's report: name, login, time, words and the report's hash go on record.

    What is accepted must be as it was written, and the evidence must hold; what is refused need not.
    """
    from expectations.report_folders import named_folder, run_of
    from sevenfold import audit

    run_id = run_of(run)
    versions = audit.report_versions().get(run_id, [])
    if versions and Path(run).name not in versions:
        raise SevenfoldError(
            f"Of run {run_id} {len(versions)} reports are on record: name one, {' or '.join(versions)}."
        )
    signed = audit.recorded_manifests().get(named_folder(run).name, "")
    verdict: audit.Verdict = "refused" if refused else "accepted"
    if verdict == "accepted":
        if (open_run := audit.open_run()) and open_run[0] == run_id:
            raise SevenfoldError(f"Run {run_id} goes on: sign its report when it has ended.")
        _proved()
        verify_reports(run_id)
    signed_as: audit.Role = "preparer" if as_preparer else "reviewer"
    audit.sign_off(run_id, signed, audit.SignOff(verdict, by, comment, signed_as))
    console.print(
        f"On record: {by}, {signed_as}, {verdict} the report whose manifest has SHA-256 {signed}", soft_wrap=True
    )


@app.command("list")
def list_entries(last: Annotated[int, typer.Option(min=1, help="How many entries.")] = 20) -> None:
    """List the last entries: what is on record of which run, by whom and when."""
    from sevenfold.warehouse import connect

    with connect() as connection:
        rows = connection.execute(
            """
            select entry_number, run_id, event_code, recorded_by, recorded_at, left(entry_hash, 16)
            from audit.entries order by entry_number desc limit %s
            """,
            (last,),
        ).fetchall()
    for number, run_id, event_code, recorded_by, at, entry_hash in rows:
        print_entry(
            console,
            f"{number} {event_code}{f' of {run_id}' if run_id else ''}",
            f"{at:%Y-%m-%d %H:%M:%S} UTC by {recorded_by}, hash {entry_hash}...",
        )
    if not rows:
        console.print("Nothing is on record yet.")


def verify_reports(run_id: str | None) -> str:
    """Compare the reports, those of one run or all, with their manifests, and these with the evidence.

    Raises:
        SevenfoldError: Something is not as it was written, or there is no report.
    """
    from expectations import report_folders
    from sevenfold import audit

    folders = report_folders.versions(run_id) if run_id else report_folders.all_folders()
    if not folders:
        raise SevenfoldError("There is no report to verify.")
    problems = [problem for folder in folders for problem in report_folders.check(folder)]
    recorded = audit.recorded_manifests()
    problems += [
        report_folders.Problem(folder.name, "its manifest is not the one on record in the warehouse")
        for folder in folders
        if not problems and recorded.get(folder.name) != report_folders.manifest_hash(folder)
    ]
    if run_id is None:
        strange = [folder.name for folder in report_folders.strange_folders()]
        removed = sorted(recorded.keys() - {folder.name for folder in folders} - set(strange))
        problems += [report_folders.Problem(name, "it is on record in the warehouse, and not here") for name in removed]
        problems += [report_folders.Problem(name, "no run wrote it: it has no manifest") for name in strange]
    if problems:
        said = "\n".join(f"- {problem.folder}: {problem.words}." for problem in problems)
        raise SevenfoldError(f"A report is not as it was written:\n{said}\nCompare with a copy kept elsewhere.")
    said = "1 report is as it was" if len(folders) == 1 else f"{len(folders)} reports are as they were"
    return f"{said} written, and on record in the warehouse."
