"""Every number the simulated retailer is made from: who its people are, where they register, what goes wrong.

Shares are 0-1 and months have 30.4375 days. The values aim at the flavour of the paper's month 0 and at its
movement afterwards; nothing downstream reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

MONTH_SECONDS = 2_629_800

FIRST_DAY = datetime(2025, 1, 2, tzinfo=UTC)
MONTH_ZERO = datetime(2025, 4, 1, tzinfo=UTC)
LAST_ARRIVAL = datetime(2026, 7, 1, tzinfo=UTC)

CUSTOMER_SOURCES = (
    "point_of_sale",
    "e_commerce",
    "delivery",
    "contact_centre",
    "wedding_registry",
    "app",
    "credit_card",
    "loyalty",
    "sweepstake",
    "receipt_registration",
    "subscription",
)
"""The sources that hold customer records, in the order in which everything is drawn."""


@dataclass(frozen=True)
class Country:
    """What a country's retailer has otherwise than another's; its names and places lie in `words/<code>`.

    Attributes:
        code: ISO 3166, as contracts name it.
        time_zone: The clock of the sources that write local times.
        currency: ISO 4217.
        calling_code: Before a phone in its international form.
        dialled_before: What people dial, or write, before a phone.
        phone_length: Digits of a phone, its area code included.
        main_area: The area code of the largest city.
        identifier: The kind of national identifier that forms ask for, a column of the people.
        till_identifier: The one that the till asks for.
        placeholder_identifier: What is typed where it must not be left empty.
        compound_beginnings: Given names that are usually followed by a second one.
    """

    code: str
    time_zone: str
    currency: str
    calling_code: str
    dialled_before: str
    phone_length: int
    main_area: int
    identifier: str
    till_identifier: str
    placeholder_identifier: str
    compound_beginnings: tuple[str, ...]


MEXICO = Country(
    code="MX",
    time_zone="America/Mexico_City",
    currency="MXN",
    calling_code="+52",
    dialled_before="044",
    phone_length=10,
    main_area=55,
    identifier="curp",
    till_identifier="rfc",
    placeholder_identifier="XAXX010101000",
    compound_beginnings=("María", "Juana", "Ana", "José", "Juan", "Luis"),
)
SPAIN = Country(
    code="ES",
    time_zone="Europe/Madrid",
    currency="EUR",
    calling_code="+34",
    dialled_before="0034",
    phone_length=9,
    main_area=6,
    identifier="dni",
    till_identifier="dni",
    placeholder_identifier="00000000T",
    compound_beginnings=("María", "Ana", "José", "Juan", "Luis"),
)
COUNTRIES: Mapping[str, Country] = {country.code: country for country in (MEXICO, SPAIN)}


@dataclass(frozen=True)
class Population:
    """Who the people are, whatever they do at the retailer."""

    household_size_shares: tuple[float, ...] = (0.42, 0.26, 0.16, 0.11, 0.05)
    women_share: float = 0.515  # of all but the second of a couple, who is of the other gender
    birth_years: tuple[float, float, float] = (1938.0, 1984.0, 2006.0)  # the least, the most frequent and the latest
    parents_birth_years: tuple[float, float, float] = (1940.0, 1964.0, 1979.0)  # where there are children
    couple_years_apart: float = 3.5  # standard deviation
    parents_ages: tuple[float, float] = (20.0, 40.0)  # of the first, when children are born
    email_domain_shares: tuple[float, ...] = (0.38, 0.18, 0.14, 0.14, 0.1, 0.06)  # of `people.EMAIL_DOMAINS`
    middle_name_share: float = 0.34
    compound_middle_name_share: float = 0.72  # of those whose first name is the first half of a usual compound
    junior_share: float = 0.04  # of sons
    twin_share: float = 0.03  # of second and later children
    born_where_they_live_share: float = 0.8
    shared_mobile_share: float = 0.0102  # of people, both sides counted; it makes the paper's 0.58 % of customers
    several_emails_share: float = 0.28  # of people; as many as it takes for the paper's 8.7 % of customers to show them


@dataclass(frozen=True)
class Segment:
    """People who are in one state at month 0, and in which way.

    Attributes:
        share: Of the parties of month 0, in per cent. The shares leave out the parties that come on top: tickets paid
            in cash beside the first, and visits of the app by people without an account.
        main: Weighs the source where a person is known first; empty: known by tickets alone.
        early: Probability of a further registration at a source before month 0.
        later: The same afterwards, in the long run; it tells of people who are known well already.
        later_months: Time constant of the later registrations.
        is_formal: Whether they write their full legal name.
        is_active: Whether their first registrations come with an interaction.
        pays_by_card: Whether they do; None: as often as `Habits` says.
        has_contact: Whether their first registrations give a contact.
        walks_in: Whether they buy at the till without having registered anywhere.
    """

    share: float
    main: Mapping[str, float] = field(default_factory=dict)
    early: Mapping[str, float] = field(default_factory=dict)
    later: Mapping[str, float] = field(default_factory=dict)
    later_months: float = 5.5
    is_formal: bool = False
    is_active: bool = False
    pays_by_card: bool | None = None
    has_contact: bool = True
    walks_in: bool = False


SEGMENTS: Mapping[str, Segment] = {
    # Known by name and contact, and seen buying.
    "A": Segment(
        share=17.0,
        main={
            "point_of_sale": 0.26,
            "e_commerce": 0.16,
            "delivery": 0.1,
            "app": 0.12,
            "credit_card": 0.2,
            "loyalty": 0.16,
        },
        early={
            "point_of_sale": 0.12,
            "e_commerce": 0.14,
            "delivery": 0.1,
            "contact_centre": 0.06,
            "wedding_registry": 0.03,
            "app": 0.14,
            "credit_card": 0.1,
            "loyalty": 0.15,
            "sweepstake": 0.03,
            "subscription": 0.02,
        },
        later={
            "e_commerce": 0.12,
            "delivery": 0.12,
            "contact_centre": 0.08,
            "app": 0.16,
            "credit_card": 0.06,
            "loyalty": 0.2,
            "sweepstake": 0.1,
            "subscription": 0.03,
        },
        is_formal=True,
        is_active=True,
    ),
    # Known by name and contact, never seen buying.
    "B": Segment(
        share=6.4,
        main={"contact_centre": 0.4, "wedding_registry": 0.3, "point_of_sale": 0.2, "credit_card": 0.1},
        early={"contact_centre": 0.03, "wedding_registry": 0.02},
        is_formal=True,
    ),
    # Known by name and seen buying, without a contact.
    "C": Segment(share=0.02, main={"point_of_sale": 1.0}, is_formal=True, is_active=True, has_contact=False),
    # Buy on line under half a name.
    "D": Segment(
        share=16.9,
        main={"e_commerce": 0.34, "app": 0.36, "delivery": 0.3},
        early={"e_commerce": 0.06, "app": 0.06, "delivery": 0.06},
        is_active=True,
    ),
    # Buy with a card without saying who they are, until a strategy gives a reason to.
    "X": Segment(share=38.6, pays_by_card=True, walks_in=True),
    # The same, in cash: each ticket is a party of its own.
    "X_cash": Segment(share=7.0, pays_by_card=False, walks_in=True),
    # Want the newsletter.
    "Y": Segment(share=2.06, main={"subscription": 0.7, "app": 0.3}),
    # A name on an old list and nothing else.
    "Z": Segment(share=4.05, main={"point_of_sale": 1.0}, is_formal=True, has_contact=False),
}

SWEEPSTAKE = "sweepstake_or_digital_activation"
DATA_QUALITY = "data_quality_programme"
DIGITAL_RECORD = "digital_record"
LOYALTY = "loyalty_programme"
HOME_DELIVERY = "purchase_with_home_delivery"
RECEIPT = "receipt_registration"
SUBSCRIPTION = "subscription"
DIGITAL_RECEIPT = "digital_receipt"
STRATEGIES = (
    SWEEPSTAKE,
    DATA_QUALITY,
    DIGITAL_RECORD,
    LOYALTY,
    HOME_DELIVERY,
    RECEIPT,
    SUBSCRIPTION,
    DIGITAL_RECEIPT,
)

START_MONTHS: Mapping[str, int] = dict.fromkeys(STRATEGIES, 0) | {RECEIPT: 1}
"""The month in which each strategy starts; before it nobody can respond to it."""


@dataclass(frozen=True)
class Move:
    """Parties of one state that a strategy brings to another in one quarter.

    Attributes:
        quarter: 1 is the three months after month 0.
        origin: A key of `SEGMENTS`, or `Y_taken_back` (see `TAKEN_BACK`).
        destination: The state they are brought to, or `Y_taken_back`.
        strategy: The strategy; None where it is none.
        share: Of the parties of month 0, in per cent. What is drawn by is the ratio to what the state holds when the
            quarter begins: where a strategy is switched off, the others find more people to win.
    """

    quarter: int
    origin: str
    destination: str
    strategy: str | None
    share: float


TAKEN_BACK = "Y_taken_back"
"""The paper's Y rises by two points at month 12 and falls back, which no growing knowledge explains. Here the app's
tracker corrects itself: visits that it had given to the wrong account are sent again without it. The accounts keep
their e-mail and lose their trace, until their owners come back."""

MOVES: tuple[Move, ...] = tuple(
    Move(*row)
    for row in (
        (1, "Z", "A", DATA_QUALITY, 1.909),
        (1, "Z", "A", LOYALTY, 1.203),
        (1, "Z", "A", SUBSCRIPTION, 0.157),
        (1, "Z", "A", DIGITAL_RECEIPT, 0.066),
        (1, "Z", "B", DATA_QUALITY, 0.65),
        (1, "C", "A", DIGITAL_RECEIPT, 0.02),
        (1, "B", "A", HOME_DELIVERY, 0.663),
        (1, "B", "A", DIGITAL_RECORD, 0.458),
        (1, "B", "A", LOYALTY, 0.231),
        (1, "B", "A", SWEEPSTAKE, 0.298),
        (1, "Y", "A", DIGITAL_RECORD, 0.15),
        (1, "X_cash", "A", RECEIPT, 0.102),
        (1, "X", "D", DIGITAL_RECORD, 2.04),
        (1, "X", "D", HOME_DELIVERY, 1.734),
        (1, "X", "D", SWEEPSTAKE, 1.051),
        (2, "B", "A", HOME_DELIVERY, 0.338),
        (2, "B", "A", LOYALTY, 0.196),
        (2, "B", "A", SWEEPSTAKE, 0.243),
        (2, "B", "A", DIGITAL_RECORD, 0.093),
        (2, "Y", "A", DIGITAL_RECORD, 0.15),
        (2, "X_cash", "A", RECEIPT, 0.367),
        (2, "X", "A", SWEEPSTAKE, 1.342),
        (2, "X", "A", LOYALTY, 0.253),
        (2, "X", "A", HOME_DELIVERY, 0.519),
        (2, "X", "A", DIGITAL_RECORD, 0.344),
        (2, "D", "A", DATA_QUALITY, 0.431),
        (2, "D", "A", DIGITAL_RECORD, 0.471),
        (2, "D", "A", LOYALTY, 0.118),
        (2, "X", "D", DIGITAL_RECORD, 0.816),
        (2, "X", "D", HOME_DELIVERY, 0.612),
        (2, "X", "D", SWEEPSTAKE, 0.306),
        (3, "Y", "B", DATA_QUALITY, 0.15),
        (3, "X_cash", "A", RECEIPT, 0.204),
        (3, "X", "A", SWEEPSTAKE, 0.617),
        (3, "X", "A", LOYALTY, 0.145),
        (3, "X", "A", HOME_DELIVERY, 0.312),
        (3, "X", "A", DIGITAL_RECORD, 0.302),
        (3, "D", "A", DATA_QUALITY, 0.376),
        (3, "D", "A", DIGITAL_RECORD, 0.514),
        (3, "D", "A", LOYALTY, 0.14),
        (3, "X", "D", DIGITAL_RECORD, 0.51),
        (3, "X", "D", HOME_DELIVERY, 0.306),
        (3, "X", "D", SWEEPSTAKE, 0.194),
        (4, "B", "A", HOME_DELIVERY, 0.33),
        (4, "B", "A", DIGITAL_RECORD, 0.265),
        (4, "B", "A", LOYALTY, 0.155),
        (4, "B", "A", SWEEPSTAKE, 0.215),
        (4, "D", "A", DATA_QUALITY, 0.14),
        (4, "X_cash", "A", RECEIPT, 0.061),
        (4, "X", "A", SWEEPSTAKE, 0.082),
        (4, "X", "D", DIGITAL_RECORD, 1.326),
        (4, "X", "D", HOME_DELIVERY, 0.918),
        (4, "X", "D", SWEEPSTAKE, 0.52),
        (4, "D", TAKEN_BACK, None, 1.95),
        (5, "X_cash", "A", RECEIPT, 0.061),
        (5, "X", "A", SWEEPSTAKE, 0.408),
        (5, "X", "A", HOME_DELIVERY, 0.095),
        (5, "X", "A", DIGITAL_RECORD, 0.117),
        (5, "X", "A", LOYALTY, 0.033),
        (5, "D", "A", DATA_QUALITY, 0.174),
        (5, "D", "A", DIGITAL_RECORD, 0.166),
        (5, "D", "A", LOYALTY, 0.14),
        (5, "X", "D", DIGITAL_RECORD, 1.02),
        (5, "X", "D", HOME_DELIVERY, 0.714),
        (5, "X", "D", SWEEPSTAKE, 0.408),
        (5, TAKEN_BACK, "D", None, 1.85),
    )
)
"""The paper's table, read as the fewest moves that explain it, given to the strategies in the paper's proportions."""


@dataclass(frozen=True)
class Form:
    """What a source asks for, and how often it is given (share of its records)."""

    middle_name: float = 0.9  # of those who have one and write their full name
    second_last_name: float = 0.97  # by people who write their full legal name
    second_last_name_informal: float = 0.0  # by the others
    birth_date: float = 0.0
    identifier: float = 0.0
    gender: float = 0.0
    email: float = 0.0
    other_email: float = 0.0  # of those who have one, a second address beside the first
    phone: float = 0.0
    address: float = 0.0
    card: float = 0.0  # a card on file, of those who pay by card
    confirmed: float = 0.0  # records that the data quality programme completes later
    repeated: float = 0.0  # people who register a second time
    activity: float = 0.0  # later registrations that come with an interaction
    further_interactions: float = 0.0  # per month after the first


@dataclass(frozen=True)
class Mistakes:
    """How often what was given is written down wrong (share of the filled values)."""

    typo: float = 0.01
    no_accents: float = 0.1
    upper_case: float = 0.0
    stray_space: float = 0.01
    nickname: float = 0.0
    swapped_last_names: float = 0.002
    placeholder_name: float = 0.0
    placeholder_birth_date: float = 0.0
    placeholder_contact: float = 0.0
    placeholder_identifier: float = 0.0
    malformed_contact: float = 0.005
    blank_for_missing: float = 0.0  # of the missing values, those written as a space
    missing_key: float = 0.0
    sent_twice: float = 0.0

    def times(self, factor: float) -> Mistakes:
        """Give the same mistakes in values, so many times as often; whole rows come with keys and once as before."""
        rows = {"missing_key": self.missing_key, "sent_twice": self.sent_twice}
        return Mistakes(**{name: min(1.0, share * factor) for name, share in asdict(self).items()} | rows)


FORMS: Mapping[str, Form] = {
    "point_of_sale": Form(
        birth_date=0.45,
        identifier=0.05,
        email=0.6,
        other_email=0.9,
        phone=0.85,
        confirmed=0.03,
        repeated=0.03,
        activity=0.9,
    ),
    "e_commerce": Form(
        birth_date=0.4,
        gender=0.4,
        email=1.0,
        phone=0.8,
        address=0.6,
        card=0.75,
        confirmed=0.03,
        repeated=0.03,
        activity=0.9,
        further_interactions=0.06,
    ),
    "delivery": Form(
        phone=0.95,
        email=0.65,
        address=1.0,
        card=0.75,
        confirmed=0.02,
        repeated=0.05,
        activity=1.0,
        further_interactions=0.03,
    ),
    "contact_centre": Form(
        second_last_name_informal=0.8,
        birth_date=0.6,
        email=0.6,
        other_email=0.9,
        phone=0.9,
        address=0.3,
        confirmed=0.05,
        repeated=0.02,
    ),
    "wedding_registry": Form(birth_date=0.3, email=0.8, phone=0.8, address=0.7),
    "app": Form(
        birth_date=0.7,
        gender=0.6,
        email=1.0,
        phone=0.88,
        card=0.75,
        confirmed=0.06,
        repeated=0.02,
        activity=0.9,
        further_interactions=0.12,
    ),
    "credit_card": Form(
        middle_name=1.0,
        second_last_name=1.0,
        second_last_name_informal=1.0,
        birth_date=0.99,
        identifier=0.97,
        gender=0.95,
        email=0.6,
        phone=0.9,
        address=0.95,
        card=1.0,
        confirmed=0.02,
        activity=0.9,
        further_interactions=0.15,
    ),
    "loyalty": Form(
        second_last_name_informal=0.5,
        birth_date=0.85,
        gender=0.7,
        email=0.7,
        phone=0.85,
        address=0.15,
        card=0.75,
        confirmed=0.06,
        repeated=0.03,
        activity=0.9,
    ),
    "sweepstake": Form(
        second_last_name_informal=0.35,
        birth_date=0.5,
        email=0.85,
        phone=0.85,
        card=1.0,
        confirmed=0.02,
        repeated=0.04,
    ),
    "receipt_registration": Form(second_last_name_informal=0.4, birth_date=0.3, email=0.8, phone=0.85, confirmed=0.02),
    "subscription": Form(middle_name=0.0, second_last_name=0.0, email=1.0, repeated=0.02),
}

MISTAKES: Mapping[str, Mistakes] = {
    "point_of_sale": Mistakes(
        typo=0.03,
        no_accents=0.6,
        upper_case=0.3,
        stray_space=0.03,
        nickname=0.05,
        swapped_last_names=0.008,
        placeholder_name=0.003,
        placeholder_birth_date=0.03,
        placeholder_contact=0.015,
        placeholder_identifier=0.02,
        malformed_contact=0.01,
        blank_for_missing=0.3,
        missing_key=0.001,
    ),
    "e_commerce": Mistakes(typo=0.012, no_accents=0.35, stray_space=0.015, nickname=0.03, malformed_contact=0.003),
    "delivery": Mistakes(typo=0.02, no_accents=0.4, stray_space=0.02, nickname=0.03, malformed_contact=0.006),
    "contact_centre": Mistakes(
        typo=0.03,
        no_accents=1.0,
        upper_case=1.0,
        stray_space=0.02,
        nickname=0.03,
        swapped_last_names=0.01,
        placeholder_name=0.002,
        placeholder_birth_date=0.04,
        placeholder_contact=0.012,
        malformed_contact=0.012,
        missing_key=0.003,
        sent_twice=0.002,
    ),
    "wedding_registry": Mistakes(typo=0.01, no_accents=0.1, nickname=0.02, malformed_contact=0.006, missing_key=0.004),
    "app": Mistakes(typo=0.012, no_accents=0.45, nickname=0.05, placeholder_birth_date=0.01, malformed_contact=0.002),
    "credit_card": Mistakes(
        typo=0.002, no_accents=1.0, upper_case=1.0, stray_space=0.0, swapped_last_names=0.0005, malformed_contact=0.003
    ),
    "loyalty": Mistakes(
        typo=0.015,
        no_accents=0.3,
        stray_space=0.01,
        nickname=0.02,
        placeholder_birth_date=0.015,
        placeholder_contact=0.006,
        malformed_contact=0.006,
        sent_twice=0.001,
    ),
    "sweepstake": Mistakes(
        typo=0.025,
        no_accents=0.5,
        stray_space=0.02,
        nickname=0.05,
        placeholder_name=0.003,
        placeholder_contact=0.008,
        malformed_contact=0.01,
        missing_key=0.003,
    ),
    "receipt_registration": Mistakes(
        typo=0.02,
        no_accents=0.5,
        nickname=0.03,
        malformed_contact=0.01,
        missing_key=0.002,
    ),
    "subscription": Mistakes(typo=0.01, no_accents=0.3, nickname=0.1, malformed_contact=0.01),
}


@dataclass(frozen=True)
class Habits:
    """How people buy and pay, which contact they give, and what they show at the till.

    Purchases follow a buy-till-you-die process (Pareto/NBD): everybody buys at a rate of their own, drawn from a gamma
    distribution, until a day of their own after which they never come back; that day's hazard is gamma as well.
    """

    purchase_rate_shape: float = 1.2  # of the gamma; its mean is 1, and multiplies the rates below and in `Form`
    dropout_shape: float = 2.0
    dropout_months: float = 40.0  # after t months (1 + t / this) ** -shape of the people still buy
    walk_in_rate: float = 0.13  # tickets per month at the till without having registered
    known_walk_in_rate: float = 0.2  # the same of people in state A who have a number to show
    pays_by_card_share: float = 0.86
    email_only_share: float = 0.12
    phone_only_share: float = 0.2
    other_email_share: float = 0.4  # of the records of a person with several e-mails
    shows_number_share: float = 0.85  # of the tickets of people with a customer or loyalty number; others pay in cash
    digital_receipt_share: float = 0.012  # of the other tickets, from the start of that strategy on
    registered_receipt_share: float = 0.12  # of the tickets paid in cash after month 0 that no move is about
    registered_receipt_months: float = 1.5  # mean time from such a ticket to its registration
    full_name_share: float = 0.4  # of these registrations
    logged_in_share: float = 0.8  # of the visits of the app by people with an account
    return_share: float = 0.02  # of the tickets
    amount_logarithm: tuple[float, float] = (5.6, 0.9)  # mean and standard deviation, of all that has an amount
    guest_order_share: float = 0.03  # of the digital people: orders without an account
    anonymous_visit_share: float = 0.02  # of the people without an account: visits of the app
    guest_interactions: tuple[int, int] = (1, 3)  # from so many to so many, of who has any
    consent_share: float = 0.8
    consent_withdrawn_share: float = 0.15
    consent_withdrawn_months: float = 4.0  # mean time until then
    registered_again_days: tuple[int, int] = (20, 300)  # between two registrations at a source (`Form.repeated`)
    corrected_days: tuple[int, int] = (20, 400)  # between a record and its correction (`Form.confirmed`)


@dataclass(frozen=True)
class Changes:
    """What changes in people's lives, per year and person; a change of one kind happens once at most."""

    new_phone: float = 0.06
    new_email: float = 0.03
    household_moves: float = 0.06
    moves_in_together: float = 0.02  # of the people who live alone
    dies: float = 0.009


@dataclass(frozen=True)
class Noise:
    """How the sources deliver: what the pipeline sees late, twice, or corrected.

    Attributes:
        is_at_once: Whether the pipeline reads the whole history at once, and so finds in the sources' tables the latest
            version of each record alone.
        late_share: Of the rows of batch sources, those that reach the file days after they were written; the file is
            then out of the order of time.
        late_days: Mean delay of these.
        resent_share: Of the days of a batch source, those whose whole batch is sent again.
        resent_after_days: How much later.
        without_key: Whether rows come without a key. The gate judges each delivery, and one such row is too many for a
            small one.
        with_corrections: Whether the app's visits are corrected (see `TAKEN_BACK`). A pipeline that reads the whole
            history at once cannot know what the first version said.
    """

    is_at_once: bool = True
    late_share: float = 0.0
    late_days: float = 3.0
    resent_share: float = 0.0
    resent_after_days: int = 9
    without_key: bool = True
    with_corrections: bool = False


POPULATION = Population()
HABITS = Habits()
CHANGES = Changes()
AT_ONCE = Noise()
"""The whole history is delivered at once: the demo."""
OVER_TIME = Noise(is_at_once=False, late_share=0.01, resent_share=0.01, without_key=False, with_corrections=True)
"""The history is delivered as it happens: the replay."""


@dataclass(frozen=True)
class Story:
    """What is told of a retailer: who comes, which strategies are at work, how the sources deliver.

    Attributes:
        newcomer_share: Of all people, those who first meet the retailer after month 0, in the proportions of month 0;
            none for a closed cohort, as in the paper.
        strategies: The strategies that are at work.
        noise: How the sources deliver.
        country: Where it is.
        mistakes: How many times as often as `MISTAKES` says something is written down wrong.
    """

    newcomer_share: float = 0.14
    strategies: tuple[str, ...] = STRATEGIES
    noise: Noise = AT_ONCE
    country: Country = MEXICO
    mistakes: float = 1.0

    def mistakes_of(self, source: str) -> Mistakes:
        """Give what is written down wrong at a source."""
        return MISTAKES[source].times(self.mistakes)


DEMO = Story()
REPLAY = Story(newcomer_share=0.0, noise=OVER_TIME)
