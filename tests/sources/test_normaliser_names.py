"""Names: readable form, comparison form, and whole names split into their fields."""

from pathlib import Path

import duckdb
import pytest

from sources.normaliser import FailureCode, normalise
from sources.normaliser.text import comparison_key

HISTORICAL = Path(__file__).parents[2].parent / "shared" / "data" / "historical_50k"


@pytest.mark.parametrize(
    ("country_code", "raw_value", "value", "key"),
    [
        ("MX", "  MARÍA   GUADALUPE ", "María Guadalupe", "MARIA GUADALUPE"),
        ("MX", "maría guadalupe", "María Guadalupe", "MARIA GUADALUPE"),
        ("MX", "DE LA CRUZ", "De la Cruz", "DE LA CRUZ"),
        ("MX", "NÚÑEZ Y PÉREZ", "Núñez y Pérez", "NUNEZ Y PEREZ"),
        ("MX", "García-López", "García-López", "GARCIA LOPEZ"),
        ("MX", "MA. GUADALUPE", "María Guadalupe", "MARIA GUADALUPE"),
        ("MX", "MA.GUADALUPE", "María Guadalupe", "MARIA GUADALUPE"),
        ("MX", "Ma Elena", "María Elena", "MARIA ELENA"),
        ("MX", "Mª José", "María José", "MARIA JOSE"),
        ("MX", "Ma.", "María", "MARIA"),
        ("MX", "Ma", "Ma", "MA"),  # a last name too
        ("MX", "Fco", "Francisco", "FRANCISCO"),
        ("MX", "Hdez.", "Hernández", "HERNANDEZ"),
        ("MX", "J. Jesús", "J. Jesús", "J JESUS"),
        ("MX", "Lic. Juan", "Juan", "JUAN"),
        ("US", "O'HARE", "O'Hare", "OHARE"),
        ("US", "O\u2019Hare", "O'Hare", "OHARE"),
        ("US", "D'esquire", "D'esquire", "DESQUIRE"),
        ("US", "MCDONALD", "McDonald", "MCDONALD"),
        ("US", "Smith Jr", "Smith Jr", "SMITH"),
        ("US", "MORRIS II", "Morris II", "MORRIS"),
        ("VN", "NGUYỄN", "Nguyễn", "NGUYEN"),
        ("VN", "Đỗ", "Đỗ", "DO"),
        # The letters that Unicode does not take apart.
        ("DE", "Łukasz", "Łukasz", "LUKASZ"),
        ("DE", "Øst", "Øst", "OST"),
        ("DE", "Đorđe", "Đorđe", "DORDE"),
        ("DE", "Weiß", "Weiß", "WEISS"),
        ("DE", "Æther Œuvre", "Æther Œuvre", "AETHER OEUVRE"),
        # Other scripts are kept, marks of theirs included.
        ("CN", "王杰", "王杰", "王杰"),
        ("RU", "Васильев", "Васильев", "ВАСИЛЬЕВ"),
        ("PK", "فيصل", "فيصل", "فيصل"),
        ("KH", "តារា", "តារា", "តារា"),
        ("MX", "Jose\u0301\u200b", "José", "JOSE"),  # composed; an invisible character is dropped
    ],
)
def test_a_name_has_a_readable_and_a_comparison_form(country_code: str, raw_value: str, value: str, key: str) -> None:
    result = normalise("name", raw_value, country_code)
    assert result.parts is not None
    assert (result.value, result.parts["key"]) == (value, key)


@pytest.mark.parametrize(
    ("raw_value", "failure_code"),
    [
        *(
            (text, "placeholder")
            for text in ("XX", "xxx", "NA", "N/A", "n.a.", ".", "-", "SIN NOMBRE", "Prueba", "TEST")
        ),
        *((text, "placeholder") for text in ("CLIENTE", "Público en General", "Sr. Cliente", "NULL", "asdf", "zzz")),
        ("12345", "malformed"),
        ("Juan3", "malformed"),
        ("juan@example.com", "malformed"),
        ("J", "initial_only"),
        ("J.", "initial_only"),
        ("J. R.", "initial_only"),
        ("a" * 101, "too_long"),
    ],
)
def test_what_is_no_name_fails(raw_value: str, failure_code: FailureCode) -> None:
    result = normalise("name", raw_value, "MX")
    assert (result.value, result.failure_code) == (None, failure_code)


def test_an_initial_is_kept_for_a_middle_name() -> None:
    assert normalise("name", "j.", "MX").parts == {"key": "J", "initial": "J"}


@pytest.mark.parametrize(
    ("country_code", "one", "other"),
    [
        ("MX", "Pepe Luis", "José Luis"),
        ("MX", "Ma. Gpe.", "María Guadalupe"),
        ("MX", "Lupita", "Guadalupe"),
        ("MX", "Fco", "Paco"),
        ("MX", "Chema", "José María"),
        ("MX", "María del Carmen", "Maricarmen"),
        ("US", "Bob", "Robert"),
        ("US", "Pepe", "José"),  # the country's second language
        ("GB", "Lizzie", "Elizabeth"),
    ],
)
def test_nicknames_meet_in_the_canonical_given_name(country_code: str, one: str, other: str) -> None:
    left, right = normalise("name", one, country_code).parts, normalise("name", other, country_code).parts
    assert left is not None
    assert right is not None
    assert left["canonical_given"] == right["canonical_given"]
    assert left["key"] != right["key"] or one == "Ma. Gpe."


def test_father_and_son_stay_apart_by_the_suffix() -> None:
    father, son = (normalise("name", f"Dobbins {suffix}", "US").parts for suffix in ("Senior", "Jr"))
    assert father is not None
    assert son is not None
    assert father["key"] == son["key"] == "DOBBINS"
    assert (father["suffix"], son["suffix"]) == ("SENIOR", "JR")


def split(raw_value: str, country_code: str) -> str:
    """The four fields of a whole name, parted by bars."""
    parts = normalise("full_name", raw_value, country_code).parts or {}
    fields = ("first_name", "middle_name", "first_last_name", "second_last_name")
    return "|".join(str(parts.get(field, "")) for field in fields)


@pytest.mark.parametrize(
    ("raw_value", "expected"),
    [
        ("Juan Pérez", "Juan||Pérez|"),
        ("Juan Pérez Gómez", "Juan||Pérez|Gómez"),
        ("Juan Carlos Pérez", "Juan|Carlos|Pérez|"),
        ("Juan Carlos Pérez Gómez", "Juan|Carlos|Pérez|Gómez"),
        ("José Luis de la Torre y Méndez", "José|Luis|de la Torre|Méndez"),
        ("María del Carmen García López", "María|del Carmen|García|López"),
        ("María José López", "María|José|López|"),
        ("María de los Ángeles Cruz Reyes", "María|de los Ángeles|Cruz|Reyes"),
        ("Juan de Dios Peza", "Juan|de Dios|Peza|"),
        ("Ana Cruz Pérez", "Ana||Cruz|Pérez"),
        ("Juan Martín García", "Juan||Martín|García"),  # Martín is a last name as often
        ("JUAN CARLOS DE LA CRUZ REYES", "Juan|Carlos|De la Cruz|Reyes"),
        ("Pérez Gómez, Juan Carlos", "Juan|Carlos|Pérez|Gómez"),
        ("DE LA CRUZ, MARÍA", "María||De la Cruz|"),
        ("Ma. Guadalupe Hdez. Reyes", "María|Guadalupe|Hernández|Reyes"),
        ("Sr. Pérez", "||Pérez|"),
        ("Juan", "Juan|||"),
        ("J. Pérez Gómez", "||Pérez|Gómez"),  # an initial is no first name
    ],
)
def test_a_spanish_name_is_split(raw_value: str, expected: str) -> None:
    assert split(raw_value, "MX") == expected


@pytest.mark.parametrize(
    ("country_code", "raw_value", "expected"),
    [
        ("US", "Alexander Pavlovich Vasiliev", "Alexander|Pavlovich|Vasiliev|"),
        ("US", "Jones, Kaylee", "Kaylee||Jones|"),
        ("US", "Rosemay A Thomas", "Rosemay|A|Thomas|"),
        ("US", "Vincent van Gogh", "Vincent||van Gogh|"),
        ("US", "ВАСИЛЬЕВ, Александр Павлович", "Александр|Павлович|Васильев|"),
        ("US", "Smith, Robert, Jr.", "Robert||Smith|"),
        ("GB", "Thomas Clifford, 1st Baron Clifford of Chudleigh", "Thomas||Clifford|"),
        ("VN", "Nguyễn Thị Minh Khai", "Khai|Thị Minh|Nguyễn|"),
        ("VN", "TRẦN HƯNG", "Hưng||Trần|"),
        ("CN", "张秀英", "秀英||张|"),
        ("KH", "គឹម,តារា", "តារា||គឹម|"),
    ],
)
def test_names_of_other_orders_are_split(country_code: str, raw_value: str, expected: str) -> None:
    assert split(raw_value, country_code) == expected


def test_a_split_name_carries_comparison_forms() -> None:
    result = normalise("full_name", "Gómez de la Cruz, Pepe, Jr.", "MX")
    assert result.value == "Pepe Gómez de la Cruz"
    assert result.parts == {
        "key": "PEPE GOMEZ DE LA CRUZ",
        "first_name": "Pepe",
        "first_name_key": "PEPE",
        "first_last_name": "Gómez",
        "first_last_name_key": "GOMEZ",
        "second_last_name": "de la Cruz",
        "second_last_name_key": "DE LA CRUZ",
        "canonical_given": "JOSE",
        "suffix": "JR",
    }


@pytest.mark.parametrize(
    ("raw_value", "failure_code"),
    [("PUBLICO EN GENERAL", "placeholder"), ("12345", "malformed"), ("J P", "initial_only"), ("x" * 201, "too_long")],
)
def test_what_is_no_whole_name_fails(raw_value: str, failure_code: FailureCode) -> None:
    assert normalise("full_name", raw_value, "MX").failure_code == failure_code


@pytest.mark.skipif(not HISTORICAL.exists(), reason="the full historical set is not beside the repository")
def test_the_splitter_agrees_with_real_names() -> None:
    """The figures of docs/explanation/normalisation.md; the set calls the first word first name, titles included."""
    rows = duckdb.execute(
        f"select full_name, first_name, surname from '{HISTORICAL}/*.parquet' "
        "where first_name is not null and surname is not null and full_name not like '%,%' using sample 5000 rows"
        " (reservoir, 7)"
    ).fetchall()
    agreed = 0
    for full_name, first_name, surname in rows:
        parts = normalise("full_name", full_name, "GB").parts or {}
        agreed += (parts.get("first_name_key"), parts.get("first_last_name_key")) == (
            comparison_key(first_name),
            comparison_key(surname),
        )
    assert agreed / len(rows) > 0.9
