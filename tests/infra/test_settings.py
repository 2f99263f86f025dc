"""Settings come from variables, .env and secret files, and a wrong one is named without its value."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sevenfold.errors import SettingsError
from sevenfold.settings import REPOSITORY, Settings, env_example, get_settings


@pytest.fixture(autouse=True)
def _read_anew() -> Iterator[None]:
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def test_the_example_is_the_generated_one() -> None:
    assert (REPOSITORY / ".env.example").read_text() == env_example()


def test_the_example_names_every_setting_and_decides_nothing(tmp_path: Path) -> None:
    lines = env_example().splitlines()
    assert all(line.startswith("# ") for line in lines if line)
    uncommented = [line.removeprefix("# ") for line in lines if line.startswith("# SEVENFOLD_")]
    assert len(uncommented) == len(Settings.model_fields)
    (tmp_path / ".env").write_text("\n".join(uncommented))
    from_file = Settings(_env_file=tmp_path / ".env", home=REPOSITORY / ".sevenfold")  # type: ignore[call-arg]
    assert from_file == Settings(home=REPOSITORY / ".sevenfold")


def test_variables_are_read_and_folders_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEVENFOLD_HOME", "somewhere")
    monkeypatch.setenv("SEVENFOLD_COHORT_DATE", "2026-01-01")
    monkeypatch.setenv("SEVENFOLD_WAREHOUSE_URL", "")
    settings = get_settings()
    assert settings.home == tmp_path / "somewhere"
    assert settings.input_folder == tmp_path / "somewhere" / "input"
    assert str(settings.cohort_date) == "2026-01-01"
    assert settings.warehouse_url is None
    monkeypatch.setenv("SEVENFOLD_INPUT", "deliveries")
    get_settings.cache_clear()
    assert get_settings().input_folder == tmp_path / "deliveries"


def test_a_secret_file_gives_what_no_variable_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "SEVENFOLD_WAREHOUSE_URL").write_text("postgresql://ana:secret@db/sevenfold\n")
    monkeypatch.setitem(Settings.model_config, "secrets_dir", tmp_path)
    assert get_settings().warehouse_url == "postgresql://ana:secret@db/sevenfold"
    assert "secret" not in repr(get_settings())


@pytest.mark.parametrize(
    ("variable", "value"), [("SEVENFOLD_TIME_ZONE", "Mexico/Nowhere"), ("SEVENFOLD_COHORT_DATE", "01/02/2026")]
)
def test_a_wrong_value_is_named_but_not_shown(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=variable) as caught:
        get_settings()
    assert value not in str(caught.value)
