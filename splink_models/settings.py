"""The matching model as authored: what is derived, compared and blocked on, and why.

Training (`training.py`) copies all of this, with its own parameters, into a model artefact; scoring reads the artefact
alone. So a change here reaches nobody before a model is trained with it, and a stored score can always be explained
by the file that made it.

Every expression is DuckDB SQL over one record of `intermediate.int_match_inputs`; in a comparison, `_l` and `_r` are
the two records. A field that is absent on either side is never evidence, for or against.
"""

from dataclasses import dataclass, replace

STORED_PROBABILITY = 0.001
"""Pairs below this are not stored: a thousandfold room below any threshold for rules that look at weak evidence."""

GROUP_SHARE = 0.5
"""Two groups are one person when more than this share of one over the records per person, of the pairs between them, is
joined: a record that one certain pair ties may then join a person of up to twice the usual size (decision 12)."""

DERIVED_COLUMNS: dict[str, str] = {
    # Each may use those above it. Sources differ in where they put the second given name, so both are one string here.
    "first_given": "coalesce(given_name_canonical, first_name_key)",
    "given_name": """case
        when middle_name_key is null or ends_with(first_given, ' ' || middle_name_key) then first_given
        else concat_ws(' ', first_given, middle_name_key) end""",
    "given_first": "split_part(given_name, ' ', 1)",
    "given_rest": "nullif(trim(given_name[length(given_first) + 1:]), '')",
    "first_surname": "coalesce(first_last_name_key, second_last_name_key)",
    "second_surname": "case when first_last_name_key is not null then second_last_name_key end",
    # 'GARCIA LOPEZ' in one field equals 'GARCIA' and 'LOPEZ' in two.
    "surnames": "nullif(concat_ws(' ', first_surname, second_surname), '')",
    # Given name and surname may stand in each other's field: these are compared crosswise.
    "name_as_written": "given_name || '|' || first_surname",
    "written_given": "given_name",
    "written_surname": "first_surname",
    "crossed_given": "given_first",
    "crossed_surname": "first_surname",
    "birth_text": "strftime(birth_date, '%Y%m%d')",
    "birth_digits": "coalesce(birth_text, impossible_birth_date)",
    "born_year": "coalesce(year(birth_date)::integer, birth_year)",
    "town": "nullif(trim(upper(strip_accents(city))), '')",
    "trade": "nullif(trim(upper(strip_accents(occupation))), '')",
    # The place that a British or Dutch postal code begins with; of a purely numeric one, its region.
    "postal_area": "left(postal_code, greatest(length(postal_code) - 3, 2))",
    "email_digits": "regexp_replace(email, '[^0-9]', '', 'g')",
    # The part before the @ follows a person from provider to provider; short ones (info, ana) are too common.
    "email_users": """nullif(list_filter(list_distinct(list_transform(emails, lambda e: split_part(e, '@', 1))),
        lambda u: length(u) >= 6), [])""",
    # How common GARCIA is depends on where.
    "term_given_name": "country_code || ' ' || given_name",
    "term_given_first": "country_code || ' ' || given_first",
    "term_surnames": "country_code || ' ' || first_surname || ' ' || second_surname",
    "term_first_surname": "country_code || ' ' || first_surname",
    "term_town": "country_code || ' ' || town",
    "term_trade": "country_code || ' ' || trade",
    # Particles (DE, LA, DEL) and initials are shared by too many to block on.
    "name_tokens": """list_distinct(list_filter(string_split(concat_ws(' ', given_name, surnames), ' '),
        lambda t: length(t) >= 4))""",
    # What a typing error at the end of a name leaves alone.
    "name_starts": "list_distinct(list_transform(name_tokens, lambda t: left(t, 4)))",
}


@dataclass(frozen=True, slots=True)
class TermFrequency:
    """How common an agreeing value is: agreement on a rare one weighs more than on a frequent one.

    Attributes:
        column: the derived column that holds country and value.
        parts: (kind of term, column of the record) of which the value is made; their frequencies are multiplied.
        least_u: agreement is never taken to be rarer than this.
    """

    column: str
    parts: tuple[tuple[str, str], ...]
    least_u: float = 0.0


@dataclass(frozen=True, slots=True)
class Level:
    """One outcome of a comparison.

    `m` and `u` are the shares of pairs of one person and of two people with this outcome. Training replaces them where
    it has evidence, but for a fixed `u`; `m_floor` bounds how strongly a contradiction may count.
    """

    label: str
    sql: str
    m: float
    u: float
    is_u_fixed: bool = False
    m_floor: float = 1e-4
    is_rare: bool = False  # too rare for its weight to be held against its neighbours' order
    never_above: str | None = None  # label of a level of the same comparison that it may not outweigh
    authored_records: int = 0  # as many records as the authored m is worth beside those that are learned from
    term_frequency: TermFrequency | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field, or fields whose agreement is one piece of evidence; levels from strongest to weakest."""

    name: str
    fields: tuple[str, ...]  # a deployment where all of these are empty trains without the comparison
    null_sql: str
    levels: tuple[Level, ...]
    may_be_silent: bool = False  # left out where it does not tell people apart; of any other that is an error


@dataclass(frozen=True, slots=True)
class BlockingRule:
    """Pairs worth scoring: records that share a key. `keys_sql` gives the record's list of keys, nulls ignored."""

    name: str
    keys_sql: str
    crowded_key_limit: int = 40  # a key on more records is dropped: pairs stay proportional to records


def one_edit(column: str) -> str:
    """One insertion, deletion, replacement or transposition apart.

    The distance is costly. What one edit can do is asked first, with the same result: it changes at most two places of
    equally long texts, and otherwise their length by one.
    """
    left, right = f"{column}_l", f"{column}_r"
    longer = f"strlen({left}) - strlen({right})"
    return f"""case when {left} = {right} then true
        when case {longer} when 0 then hamming({left}, {right}) <= 2 else abs({longer}) = 1 end
            then damerau_levenshtein({left}, {right}) <= 1
        else false end"""


def otherwise(m: float, u: float, m_floor: float) -> Level:
    """The contradiction. Its floor: EM on pairs that agree elsewhere sees too few people who changed the value."""
    return Level("otherwise", "ELSE", m, u, m_floor=m_floor)


# Both name comparisons see it. Columns of its own: a training block on a name must not silence the other comparison.
SWAPPED_NAMES_SQL = """((written_given_l = written_surname_r and written_surname_l = written_given_r)
    or (jaro_winkler_similarity(written_given_l, written_surname_r) >= 0.9
        and jaro_winkler_similarity(written_surname_l, written_given_r) >= 0.9
        and jaro_winkler_similarity(name_as_written_l, name_as_written_r) < 0.88))"""


def swapped_names(m: float, u: float, never_above: str) -> Level:
    """Both names in each other's field. Two comparisons see it, and together they say what the names in order would.

    With a weight of its own in each, one swap would count twice: its m is the share of swaps in both.
    """
    label = "given name and surname swapped"
    return Level(label, SWAPPED_NAMES_SQL, m, u, is_u_fixed=True, is_rare=True, never_above=never_above)


# Names after the first: unknown on a side, or known as an initial that fits, or there are more on one side.
_REST_UNKNOWN_SQL = """(given_rest_l is null or given_rest_r is null
    or (left(given_rest_l, 1) = left(given_rest_r, 1) and (length(given_rest_l) = 1 or length(given_rest_r) = 1))
    or starts_with(given_rest_l, given_rest_r || ' ') or starts_with(given_rest_r, given_rest_l || ' '))"""


# A name in the other field, the rest of it missing or mistyped.
CROSSED_NAME_SQL = "(crossed_given_l = crossed_surname_r or crossed_surname_l = crossed_given_r)"


def given_name() -> Comparison:
    """All given names as one string: nicknames are already resolved, a missing second name is no contradiction.

    A name in the other's surname is evidence once, and that is the surnames': here it neither speaks for nor against.
    """
    return Comparison(
        "given_name",
        ("first_name_key",),
        f"""given_name_l is null or given_name_r is null
        or ({CROSSED_NAME_SQL} and given_first_l <> given_first_r and not coalesce({SWAPPED_NAMES_SQL}, false))""",
        (
            Level(
                "same given names",
                "given_name_l = given_name_r",
                0.72,
                0.002,
                term_frequency=TermFrequency("term_given_name", (("given_name", "given_name"),)),
            ),
            # u: two independent name agreements; a sample of pairs never sees it.
            swapped_names(0.004, 2e-5, never_above="same given names"),
            Level(
                "same first of the given names, the others missing or an initial",
                f"given_first_l = given_first_r and {_REST_UNKNOWN_SQL}",
                0.12,
                0.0016,
                term_frequency=TermFrequency("term_given_first", (("given_first", "given_first"),)),
            ),
            Level(
                "typing error",
                f"""jaro_winkler_similarity(given_first_l, given_first_r) >= 0.9
                and ({_REST_UNKNOWN_SQL} or jaro_winkler_similarity(given_rest_l, given_rest_r) >= 0.9
                    or (length(given_rest_l) >= 4 and {one_edit("given_rest")}))""",
                0.05,
                0.0008,
            ),
            # MARIA GUADALUPE signs as GUADALUPE.
            Level(
                "one name of several",
                """given_first_l <> given_first_r
                and (ends_with(given_name_l, ' ' || given_name_r) or ends_with(given_name_r, ' ' || given_name_l))""",
                0.03,
                0.003,
                is_rare=True,
            ),
            Level(
                "initial",
                """left(given_name_l, 1) = left(given_name_r, 1)
                and (length(given_first_l) = 1 or length(given_first_r) = 1)""",
                0.01,
                0.003,
                is_rare=True,
            ),
            Level(
                "similar",
                "given_first_l <> given_first_r and jaro_winkler_similarity(given_name_l, given_name_r) >= 0.8",
                0.02,
                0.003,
            ),
            # Sisters are MARIA ELENA and MARIA GUADALUPE; so rare that a sample may miss how often strangers are.
            Level(
                "same first of the given names, others differ",
                "given_first_l = given_first_r",
                0.01,
                0.002,
                never_above="similar",
            ),
            otherwise(0.02, 0.96, m_floor=0.01),
        ),
    )


_SECOND_UNKNOWN_SQL = """(second_surname_l is null or second_surname_r is null
    or (left(second_surname_l, 1) = left(second_surname_r, 1)
        and (length(second_surname_l) = 1 or length(second_surname_r) = 1)))"""


# Brothers and sisters share both surnames, however rare these are: about one pair of strangers in a hundred thousand.
RELATIVES_SHARE = 1e-5


def surnames() -> Comparison:
    """Both surnames jointly: their agreements depend on each other, and many records lack the second."""
    return Comparison(
        "surnames",
        ("first_last_name_key",),
        "first_surname_l is null or first_surname_r is null",
        (
            Level(
                "both surnames",
                "surnames_l = surnames_r and (second_surname_l is not null or second_surname_r is not null)",
                0.55,
                3e-5,
                term_frequency=TermFrequency(
                    "term_surnames",
                    (("surname", "first_surname"), ("surname", "second_surname")),
                    least_u=RELATIVES_SHARE,
                ),
            ),
            Level(
                "swapped",
                "first_surname_l = second_surname_r and second_surname_l = first_surname_r",
                0.01,
                3e-5,
                is_u_fixed=True,  # as rare among strangers as both surnames in order
                is_rare=True,
            ),
            swapped_names(0.004, 2e-5, never_above="first surname, second missing"),
            Level(
                "typing error, both surnames",
                """second_surname_l is not null and second_surname_r is not null
                and jaro_winkler_similarity(first_surname_l, first_surname_r) >= 0.9
                and jaro_winkler_similarity(second_surname_l, second_surname_r) >= 0.9""",
                0.06,
                5e-6,
            ),
            Level(
                "first surname, second missing",
                f"first_surname_l = first_surname_r and {_SECOND_UNKNOWN_SQL}",
                0.3,
                0.0017,
                term_frequency=TermFrequency(
                    "term_first_surname", (("surname", "first_surname"),), least_u=RELATIVES_SHARE
                ),
            ),
            Level(
                "typing error, second missing",
                f"jaro_winkler_similarity(first_surname_l, first_surname_r) >= 0.9 and {_SECOND_UNKNOWN_SQL}",
                0.02,
                0.00012,
            ),
            Level("first surname, second differs", "first_surname_l = first_surname_r", 0.02, 0.004),
            # A source that knows one surname only may have kept the other one.
            Level(
                "a surname in common",
                """first_surname_l = second_surname_r or second_surname_l = first_surname_r
                or second_surname_l = second_surname_r""",
                0.02,
                0.011,
            ),
            Level("among the other's given names", CROSSED_NAME_SQL, 0.006, 0.002, is_rare=True),
            Level("similar", "jaro_winkler_similarity(first_surname_l, first_surname_r) >= 0.8", 0.006, 0.0034),
            otherwise(0.02, 0.97, m_floor=0.01),
        ),
    )


def birth_date() -> Comparison:
    """The date as text, so that slips of the hand show; a year alone still tells something.

    A date that no calendar has is one slip away from the other's, or tells nothing: nobody knows which digit is wrong.
    """
    slip = one_edit("birth_digits")
    is_slip_known = f"(birth_text_l is not null or birth_text_r is not null) and ({slip})"
    return Comparison(
        "birth_date",
        ("birth_date", "birth_year"),
        f"(born_year_l is null or born_year_r is null) and not coalesce({is_slip_known}, false)",
        (
            Level("same date", "birth_text_l = birth_text_r", 0.923, 5e-5),
            Level(
                "one slip, or day and month swapped",
                f"""({slip}) or (birth_text_l[1:4] = birth_text_r[1:4]
                and birth_text_l[5:6] = birth_text_r[7:8] and birth_text_l[7:8] = birth_text_r[5:6])""",
                0.03,
                0.001,
            ),
            Level(
                "two of day, month and year",
                """birth_text_l[5:8] = birth_text_r[5:8] or birth_text_l[1:6] = birth_text_r[1:6]
                or (birth_text_l[1:4] = birth_text_r[1:4] and birth_text_l[7:8] = birth_text_r[7:8])""",
                0.02,
                0.004,
            ),
            Level(
                "same year, the day unknown",
                "born_year_l = born_year_r and (birth_text_l is null or birth_text_r is null)",
                0.02,
                0.012,
                is_rare=True,
            ),
            Level("within a month", "abs(birth_date_l - birth_date_r) <= 31", 0.003, 0.002),
            Level("same year", "born_year_l = born_year_r", 0.005, 0.01),
            Level("within a year", "abs(birth_date_l - birth_date_r) <= 366", 0.002, 0.02, is_rare=True),
            Level("within eleven years", "abs(born_year_l - born_year_r) <= 11", 0.003, 0.3, is_rare=True),
            # Fathers and sons of one name look like one person with two dates: on few records they would teach that.
            replace(otherwise(0.006, 0.65, m_floor=0.005), authored_records=1_000),
        ),
    )


def national_identifier() -> Comparison:
    """Identifiers of different length are of different kinds (CURP and RFC): not comparable.

    u is fixed: in any sample, equal identifiers are nearly all the same person, so sampling cannot find it.
    """
    return Comparison(
        "national_identifier",
        ("national_identifier",),
        """national_identifier_l is null or national_identifier_r is null
        or length(national_identifier_l) <> length(national_identifier_r)""",
        (
            Level("same", "national_identifier_l = national_identifier_r", 0.95, 1e-7, is_u_fixed=True),
            Level("one slip", one_edit("national_identifier"), 0.02, 1e-6, is_u_fixed=True),
            otherwise(0.03, 0.999, m_floor=0.02),
        ),
    )


def email() -> Comparison:
    """Any of several e-mails. u is fixed as for identifiers; the floor is high: people have several mailboxes.

    A slip counts only where the digits agree: ana.ruiz12 and ana.ruiz13 are two people of one name. For the same reason
    a similar user says nothing that the names have not said: its weight is nought, and spares the contradiction.
    """
    return Comparison(
        "email",
        ("emails",),
        "emails_l is null or emails_r is null",
        (
            Level("one in common", "email_l = email_r or list_has_any(emails_l, emails_r)", 0.7, 1e-7, is_u_fixed=True),
            Level(
                "one slip",
                f"email_digits_l = email_digits_r and {one_edit('email')}",
                0.02,
                1e-6,
                is_u_fixed=True,
            ),
            Level(
                "same user, other provider", "list_has_any(email_users_l, email_users_r)", 0.03, 1e-5, is_u_fixed=True
            ),
            Level(
                "similar, with the same digits",
                "email_digits_l = email_digits_r and jaro_winkler_similarity(email_l, email_r) >= 0.9",
                0.02,
                1e-4,
                is_u_fixed=True,
                is_rare=True,
            ),
            otherwise(0.23, 0.999, m_floor=0.1),
        ),
    )


def phone() -> Comparison:
    """Any of several phones. u is fixed ten times above the e-mail's: families share phones."""
    return Comparison(
        "phone",
        ("phones",),
        "phones_l is null or phones_r is null",
        (
            Level("one in common", "phone_l = phone_r or list_has_any(phones_l, phones_r)", 0.7, 1e-6, is_u_fixed=True),
            Level("one slip", one_edit("phone"), 0.02, 2e-6, is_u_fixed=True),
            otherwise(0.28, 0.999, m_floor=0.15),
        ),
    )


def payment_token() -> Comparison:
    """The card on file. u is fixed as the phone's: families share cards. Many people have several."""
    return Comparison(
        "payment_token",
        ("payment_token",),
        "payment_token_l is null or payment_token_r is null",
        (
            Level("same", "payment_token_l = payment_token_r", 0.5, 1e-6, is_u_fixed=True),
            otherwise(0.5, 0.999, m_floor=0.3),
        ),
    )


SAME_ADDRESS_SQL = "street_address_key_l = street_address_key_r"


def household() -> Comparison:
    """One roof. u is fixed: what a sample finds are the person's own records, not the neighbours. People move."""
    return Comparison(
        "household",
        ("street_address_key",),
        "street_address_key_l is null or street_address_key_r is null",
        (
            Level(
                "same address",
                f"{SAME_ADDRESS_SQL} and coalesce(postal_code_l = postal_code_r, town_l = town_r, true)",
                0.55,
                2e-5,
                is_u_fixed=True,
            ),
            Level(
                "similar address",
                f"""{SAME_ADDRESS_SQL}
                or (jaro_winkler_similarity(street_address_key_l, street_address_key_r) >= 0.92
                    and coalesce(postal_code_l = postal_code_r, town_l = town_r, true))""",
                0.15,
                1e-4,
                is_u_fixed=True,
                is_rare=True,
            ),
            otherwise(0.3, 0.999, m_floor=0.1),
        ),
    )


def postal_code() -> Comparison:
    """A neighbourhood. Under one roof it says nothing new, so it is compared only where the addresses are not equal."""
    return Comparison(
        "postal_code",
        ("postal_code",),
        f"postal_code_l is null or postal_code_r is null or {SAME_ADDRESS_SQL}",
        (
            Level("same", "postal_code_l = postal_code_r", 0.5, 0.0005),
            Level("one slip", one_edit("postal_code"), 0.05, 0.003, is_rare=True),
            otherwise(0.45, 0.98, m_floor=0.1),
        ),
        may_be_silent=True,
    )


def place() -> Comparison:
    """A town, worth less the more live there. Compared where the addresses are not equal, as the postal code is."""
    return Comparison(
        "place",
        ("town",),
        f"town_l is null or town_r is null or {SAME_ADDRESS_SQL}",
        (
            Level(
                "same", "town_l = town_r", 0.55, 0.01, term_frequency=TermFrequency("term_town", (("town", "town"),))
            ),
            Level("similar", "jaro_winkler_similarity(town_l, town_r) >= 0.88", 0.1, 0.002, is_rare=True),
            Level(
                "one within the other", "contains(town_l, town_r) or contains(town_r, town_l)", 0.05, 0.01, is_rare=True
            ),
            otherwise(0.3, 0.98, m_floor=0.1),
        ),
        may_be_silent=True,
    )


def occupation() -> Comparison:
    """A trade, worth less the more follow it; people change it."""
    return Comparison(
        "occupation",
        ("trade",),
        "trade_l is null or trade_r is null",
        (
            Level(
                "same",
                "trade_l = trade_r",
                0.8,
                0.05,
                term_frequency=TermFrequency("term_trade", (("trade", "trade"),)),
            ),
            otherwise(0.2, 0.95, m_floor=0.05),
        ),
        may_be_silent=True,
    )


def gender() -> Comparison:
    """Weak evidence for; against, a recorded contradiction is often a wrong default."""
    return Comparison(
        "gender",
        ("gender",),
        "gender_l is null or gender_r is null",
        (Level("same", "gender_l = gender_r", 0.97, 0.5), otherwise(0.03, 0.5, m_floor=0.02)),
        may_be_silent=True,
    )


def comparisons() -> tuple[Comparison, ...]:
    """All comparisons; the names are the keys of `match_scores.evidence`."""
    return (
        given_name(),
        surnames(),
        birth_date(),
        national_identifier(),
        email(),
        phone(),
        payment_token(),
        household(),
        postal_code(),
        place(),
        gender(),
        occupation(),
    )


def blocking_rules() -> tuple[BlockingRule, ...]:
    """Chosen for recall, the ceiling of all that follows; the limits on crowded keys keep the pairs linear."""
    return (
        # Whoever shares one of these is worth a look, whatever the names say.
        BlockingRule("national_identifier", "[national_identifier]"),
        BlockingRule("email", "emails"),
        BlockingRule("phone", "phones"),
        BlockingRule("payment_token", "[payment_token]"),
        BlockingRule("email_user", "email_users"),
        # The first ten characters of CURP and RFC are the same for one person.
        BlockingRule("national_identifier_start", "[left(national_identifier, 10)]"),
        # Any name in any field: survives swapped, missing and added names.
        BlockingRule("birth_date_and_any_name", "list_transform(name_tokens, lambda t: birth_text || t)"),
        # Survive an error in the date.
        BlockingRule("birth_year_and_names", "[born_year || left(given_name, 3) || first_surname]"),
        BlockingRule("birthday_and_surname", "[birth_text[5:8] || left(given_name, 1) || first_surname]"),
        # Survive the lack of a date.
        BlockingRule("full_name", "[concat_ws('|', given_first, surnames)]"),
        BlockingRule("two_names", "[least(given_first, first_surname) || '|' || greatest(given_first, first_surname)]"),
        # A name or a date that few carry is enough; in a large population the limit drops nearly all of them.
        BlockingRule("rare_name", "name_tokens"),
        BlockingRule("birth_date", "[birth_text]"),
        BlockingRule("address_and_given_name", "[street_address_key || left(given_name, 3)]"),
        BlockingRule("postal_code_and_any_name", "list_transform(name_tokens, lambda t: postal_code || t)"),
        BlockingRule("postal_code_and_birth_year", "[postal_code || born_year]"),
        BlockingRule("postal_code", "[postal_code]"),
        BlockingRule("postal_area_and_start_of_name", "list_transform(name_starts, lambda t: postal_area || t)"),
        BlockingRule("birth_year_and_any_name", "list_transform(name_tokens, lambda t: born_year || t)"),
        BlockingRule("town_and_any_name", "list_transform(name_tokens, lambda t: town || t)"),
        BlockingRule("town_and_birth_year", "[town || born_year]"),
        BlockingRule("town_and_birthday", "[town || birth_text[5:8]]"),
        BlockingRule("occupation_and_any_name", "list_transform(name_tokens, lambda t: trade || t)"),
        BlockingRule(
            "starts_of_names_and_decade",
            "[array_to_string(list_sort(name_starts), '|') || left(born_year::varchar, 3)]",
        ),
        # So few that all can be compared with all: the limit drops the one key of a larger country.
        BlockingRule("anybody", "[country_code]", crowded_key_limit=1_000),
    )


TRAINING_BLOCKS: tuple[tuple[str, ...], ...] = (
    # Columns that are equal in the pairs of one EM session. What a session blocks on it cannot train, so that every
    # comparison is left free in at least two.
    ("national_identifier",),
    ("email",),
    ("phone",),
    ("birth_text", "first_surname"),
    ("birth_text", "given_name"),
    ("given_name", "surnames"),
)

TERM_KINDS: dict[str, tuple[str, ...]] = {
    "given_name": ("given_name",),
    "given_first": ("given_first",),
    "surname": ("first_surname", "second_surname"),
    "town": ("town",),
    "trade": ("trade",),
}
"""Kind of term: the record columns that its frequencies are counted over."""
