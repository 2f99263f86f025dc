"""What Airflow's page shows beside its own: the report of a run, Great Expectations' pages, and dbt's."""

from typing import Any

from airflow.plugins_manager import AirflowPlugin


async def pages(scope: Any, receive: Any, send: Any) -> None:
    """Serve them; made at the first request, as every part of Airflow reads this file and one serves pages."""
    from sevenfold.evidence_pages import application

    await application()(scope, receive, send)


class EvidencePlugin(AirflowPlugin):  # type: ignore[misc]  # untyped base
    """A tab on every run for what the run left behind, and an entry in the menu for the data dictionary."""

    name = "evidence"
    fastapi_apps = ({"app": pages, "url_prefix": "/evidence", "name": "evidence"},)
    external_views = [  # noqa: RUF012 - Airflow takes a list
        {
            "name": "Report",
            "href": "evidence/runs/{RUN_ID}/report/index.html",
            "destination": "dag_run",
            "url_route": "report",
        },
        {
            "name": "Great Expectations",
            "href": "evidence/runs/{RUN_ID}/great_expectations/index.html",
            "destination": "dag_run",
            "url_route": "great-expectations",
        },
        {
            "name": "dbt docs",
            "href": "evidence/dbt_docs/index.html",
            "destination": "dag_run",
            "url_route": "dbt-docs-of-run",
        },
        {
            "name": "dbt docs",
            "href": "evidence/dbt_docs/index.html",
            "destination": "nav",
            "category": "browse",
            "url_route": "dbt-docs",
        },
    ]
