"""The pages that runs leave behind, served by Airflow's web server to who is logged in and may see the runs.

Airflow lets everyone reach an application that a plugin mounts, so this one asks for itself, by Airflow's own means:
without a login it answers 401, to a user who may not see the runs of the main DAG 403. It imports Airflow's web server:
only where that runs.
"""

from functools import cache
from pathlib import Path

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import FileResponse

from expectations.report_folders import all_folders, great_expectations_folder, report_folder
from sevenfold.airflow import MAIN_DAG
from sevenfold.dbt import docs_folder

# A page may ask for nothing outside itself. dbt's has scripts, and makes functions of texts.
STATIC = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
SCRIPTED = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src 'self' data:; font-src data:; connect-src 'self'"
)


@cache
def application() -> FastAPI:
    """Make the application; every route asks who is there."""
    guard = Depends(requires_access_dag("GET", DagAccessEntity.RUN, MAIN_DAG))
    pages = FastAPI(title="Evidence", dependencies=[guard], docs_url=None, redoc_url=None, openapi_url=None)
    pages.get("/runs/{run_id}/report/{name:path}")(report)
    pages.get("/latest/report/{name:path}")(latest_report)
    pages.get("/runs/{run_id}/great_expectations/{name:path}")(great_expectations)
    pages.get("/dbt_docs/{name:path}")(dbt_docs)
    return pages


def report(run_id: str, name: str) -> FileResponse:
    """A file of a run's report, the latest where it was written more than once."""
    missing = f"Run {run_id} has no report (yet): runs of the DAG {MAIN_DAG} write one when they end."
    return _file(report_folder(run_id), name, missing, STATIC)


def latest_report(name: str) -> FileResponse:
    """A file of the report that was written last: where the exposures of the data dictionary lead."""
    folders = all_folders()
    if not folders:
        raise HTTPException(404, f"There is no report yet: runs of the DAG {MAIN_DAG} write one when they end.")
    return _file(folders[-1], name, f"The latest report has no {name}.", STATIC)


def great_expectations(run_id: str, name: str) -> FileResponse:
    """A page of Great Expectations on the gates of a run."""
    missing = f"Great Expectations has no pages on run {run_id}: it did not reach a gate, or its pages were deleted."
    return _file(great_expectations_folder(run_id), name, missing, STATIC)


def dbt_docs(name: str) -> FileResponse:
    """The data dictionary, as of the last published run."""
    missing = "There is no data dictionary yet: the first published run writes it, and so does `sevenfold docs`."
    return _file(docs_folder(), name, missing, SCRIPTED)


def _file(folder: Path, name: str, missing: str, policy: str) -> FileResponse:
    """One file below a folder; whatever leads out of it is not there."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise HTTPException(404, missing)
    # Who has logged out sees nothing more, and a browser guesses no type.
    headers = {"Cache-Control": "no-store", "Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff"}
    return FileResponse(path, headers=headers)
