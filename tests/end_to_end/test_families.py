"""Families, twins and homonyms: who shares names, roof and phone stays who he is, whatever third record is like both.

Everything is linked once, by the shipped model, among people who are like nobody else.
"""

from collections.abc import Mapping

import pytest
from stdnum.mx import curp

from tests.end_to_end.test_link import link, linked
from tests.end_to_end.test_odd_sources import CONTRACT, different_people

pytestmark = pytest.mark.slow

FAMILY_CONTRACT = CONTRACT.format(source="families").replace(
    "phone: mobile", "phone: mobile\n      gender: sex\n      national_identifier: curp\n      street_address: street"
)
HEADER = "number,name,surname,second_surname,born,mail,mobile,changed,sex,curp,street"


def record(number: str, name: str, surnames: str, **known: str) -> str:
    first, second = surnames.split()
    told = [known.get(field, "") for field in ("born", "mail", "mobile")]
    return ",".join(
        [
            number,
            name,
            first,
            second,
            *told,
            "2026-05-01 10:00:00",
            *(known.get(x, "") for x in ("sex", "curp", "street")),
        ]
    )


def identifier(beginning: str) -> str:
    """A CURP with its check digit."""
    return beginning + str(curp.calc_check_digit(beginning))


AT_HOME = {"mobile": "55 1234 9876", "street": "Calle Álamo 12"}
OF_TWINS = {"born": "1991-03-14", "mobile": "55 8765 1203", "street": "Calle Roble 7"}
OF_SISTERS = {"born": "1988-11-02", "mobile": "55 7312 4409", "street": "Calle Encino 31"}
AT_THE_SHOP = {"mobile": "55 6120 9937", "street": "Calle Nogal 18"}
ALONE = {"mobile": "55 9043 2216", "street": "Calle Olmo 55"}
AT_NIGHT = {"mobile": "55 3011 7745", "street": "Calle Ceiba 4", "mail": "jgbarcenas71@example.com"}
RECORDS = [
    record("father-1", "Evaristo", "Mondragón Cruz", born="1950-02-11", mail="evaristo1950@example.com", **AT_HOME),
    record("father-2", "Evaristo", "Mondragón Cruz", born="1950-02-11", mail="evaristo1950@example.com"),
    record("son-1", "Evaristo", "Mondragón Cruz", born="1981-09-27", mail="vito81@example.org", **AT_HOME),
    record("son-2", "Evaristo", "Mondragón Cruz", born="1981-09-27", mail="vito81@example.org"),
    record("either-of-them", "Evaristo", "Mondragón Cruz", **AT_HOME),
    record("mario-1", "Mario", "Zaldívar Peña", sex="M", **OF_TWINS),
    record("mario-2", "Mario", "Zaldívar Peña", sex="M", **OF_TWINS),
    record("maria-1", "María", "Zaldívar Peña", sex="F", **OF_TWINS),
    record("maria-2", "María", "Zaldívar Peña", sex="F", **OF_TWINS),
    record("laura-1", "Ana Laura", "Quintanar Solís", **OF_SISTERS),
    record("laura-2", "Ana Laura", "Quintanar Solís", **OF_SISTERS),
    record("luisa-1", "Ana Luisa", "Quintanar Solís", **OF_SISTERS),
    record("luisa-2", "Ana Luisa", "Quintanar Solís", **OF_SISTERS),
    record("of-both-1", "María Elena", "Bracamontes Ríos", born="1994-07-19", mail="familia.bracamontes@example.com"),
    record("of-both-2", "María Inés", "Bracamontes Ríos", born="1994-07-19", mail="familia.bracamontes@example.com"),
    record("third-name-1", "Luis Ángel Alberto", "Tarango Vela", born="1973-12-01", **AT_THE_SHOP),
    record("third-name-2", "Luis Ángel", "Tarango Vela", born="1973-12-01", **AT_THE_SHOP),
    record("tick-1", "José Guadalupe", "Bárcenas Olmos", born="1971-08-08", sex="M", **AT_NIGHT),
    record("tick-2", "Guadalupe", "Bárcenas Olmos", born="1971-08-08", sex="F", **AT_NIGHT),
    record("slip-1", "Rosa Isela", "Urrutia Nava", born="1969-04-23", **ALONE),
    record("slip-2", "Rosa Icela", "Urrutia Nava", born="1969-04-23", **ALONE),
    record("one-homonym", "Rosa", "Hernández Ruiz", born="1979-06-05", curp=identifier("HERR790605MDFRZS0")),
    record("the-other", "Rosa", "Hernández Ruiz", born="1979-06-05", curp=identifier("HERR790605MOCRZS1")),
    record("two-curps-1", "Abundio", "Lozada Vega", born="1968-01-20", mail="abundio.lozada@example.net",
           curp=identifier("LOVA680120HDFZGB0")),
    record("two-curps-2", "Abundio", "Lozada Vega", born="1968-01-20", mail="abundio.lozada@example.net",
           curp=identifier("LOVA680120HOCZGB1")),
]  # fmt: skip


@pytest.fixture(scope="module")
def parties(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The party of each record, by its number."""
    folder = tmp_path_factory.mktemp("families")
    (folder / "contracts").mkdir()
    (folder / "contracts" / "families.yml").write_text(FAMILY_CONTRACT, encoding="utf-8")
    strangers = [f"{row},,," for row in different_people()]
    (folder / "families.csv").write_text("\n".join([HEADER, *strangers, *RECORDS, ""]), encoding="utf-8")
    answer = link(folder, folder / "contracts", folder)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return {row["native_key"]: row["party_id"] for row in linked(folder)}


@pytest.mark.parametrize(
    ("one", "other"),
    [(("father-1", "father-2"), ("son-1", "son-2")), (("mario-1", "mario-2"), ("maria-1", "maria-2")),
     (("laura-1", "laura-2"), ("luisa-1", "luisa-2"))],
)  # fmt: skip
def test_two_of_a_family_are_two_and_each_is_one(
    parties: Mapping[str, str], one: tuple[str, str], other: tuple[str, str]
) -> None:
    assert parties[one[0]] == parties[one[1]]
    assert parties[other[0]] == parties[other[1]]
    assert parties[one[0]] != parties[other[0]]


def test_two_valid_identifiers_are_two_homonyms(parties: Mapping[str, str]) -> None:
    assert parties["one-homonym"] != parties["the-other"]


def test_two_of_one_mailbox_and_birth_date_with_other_second_names_are_two(parties: Mapping[str, str]) -> None:
    assert parties["of-both-1"] != parties["of-both-2"]


@pytest.mark.parametrize("who", ["third-name", "slip", "tick"])
def test_missing_names_a_slip_in_the_second_and_a_wrong_tick_part_nobody(parties: Mapping[str, str], who: str) -> None:
    assert parties[f"{who}-1"] == parties[f"{who}-2"]


def test_who_has_two_identifiers_and_one_mailbox_is_one(parties: Mapping[str, str]) -> None:
    assert parties["two-curps-1"] == parties["two-curps-2"]


def test_strangers_are_untouched(parties: Mapping[str, str]) -> None:
    strangers = [parties[str(number)] for number in range(100)]
    assert len(set(strangers)) == 100
