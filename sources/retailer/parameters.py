"""Every number the simulated retailer is made from: who its people are, where they register, what goes wrong.

Shares are 0-1 and months have 30.4375 days. The values aim at the flavour of the paper's month 0 and at its
movement afterwards; nothing downstream reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

MONTH_SECONDS = 2_629_800
LOCAL_OFFSET_SECONDS = -6 * 3600
"""America/Mexico_City is UTC-6 all year since October 2022."""

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
class Population:
    """Who the people are, whatever they do at the retailer."""

    household_size_shares: tuple[float, ...] = (0.42, 0.26, 0.16, 0.11, 0.05)
    middle_name_share: float = 0.34
    compound_middle_name_share: float = 0.72  # of those whose first name is the first half of a usual compound
    junior_share: float = 0.04  # of sons
    twin_share: float = 0.03  # of second and later children
    born_where_they_live_share: float = 0.8
    shared_mobile_share: float = 0.0058  # of people, both sides counted
    several_emails_share: float = 0.087


@dataclass(frozen=True)
class Segment:
    """People who meet the retailer in the same way.

    `main` weighs the source where a person is known first (empty: never known at first), `early` and `later` give
    the probability of a further registration before month 0 and in the long run after it.
    """

    share: float
    main: Mapping[str, float] = field(default_factory=dict)
    early: Mapping[str, float] = field(default_factory=dict)
    later: Mapping[str, float] = field(default_factory=dict)
    later_months: float = 5.5  # time constant of the later registrations
    formal_share: float = 0.5  # of those who write their full legal name
    early_activity_share: float = 0.0  # of the main and early registrations that come with an interaction
    walk_in_rate: float = 0.0  # tickets per month without showing up anywhere first
    has_early_contact: bool = True


SEGMENTS: Mapping[str, Segment] = {
    # Known by name and contact, and seen buying.
    "regular": Segment(
        share=0.174,
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
        formal_share=0.985,
        early_activity_share=1.0,
        walk_in_rate=0.2,
    ),
    # Known by name and contact, never seen buying.
    "registered": Segment(
        share=0.068,
        main={"contact_centre": 0.4, "wedding_registry": 0.3, "point_of_sale": 0.2, "credit_card": 0.1},
        early={"contact_centre": 0.03, "wedding_registry": 0.02},
        later={"loyalty": 0.3, "app": 0.14, "e_commerce": 0.14, "delivery": 0.14, "sweepstake": 0.12},
        later_months=7.0,
        formal_share=1.0,
    ),
    # A name on an old list and nothing else: the data quality programme completes it first.
    "listed": Segment(
        share=0.044,
        main={"point_of_sale": 1.0},
        later={"contact_centre": 1.0, "loyalty": 0.7, "app": 0.35},
        later_months=0.6,
        formal_share=1.0,
        has_early_contact=False,
    ),
    # Buys on line under half a name.
    "digital": Segment(
        share=0.163,
        main={"e_commerce": 0.38, "app": 0.3, "delivery": 0.32},
        early={"e_commerce": 0.1, "app": 0.1, "delivery": 0.1},
        later={
            "loyalty": 0.05,
            "sweepstake": 0.04,
            "contact_centre": 0.04,
            "app": 0.1,
            "delivery": 0.1,
            "subscription": 0.01,
        },
        later_months=8.0,
        formal_share=0.0,
        early_activity_share=1.0,
        walk_in_rate=0.02,
    ),
    # Wants the newsletter.
    "subscriber": Segment(
        share=0.022,
        main={"subscription": 0.7, "app": 0.3},
        later={"e_commerce": 0.1, "app": 0.08, "loyalty": 0.04},
        formal_share=0.0,
    ),
    # Buys without saying who it is, until a strategy gives a reason to.
    "anonymous": Segment(
        share=0.529,
        later={
            "loyalty": 0.12,
            "app": 0.145,
            "e_commerce": 0.135,
            "delivery": 0.14,
            "sweepstake": 0.14,
            "contact_centre": 0.01,
            "credit_card": 0.01,
            "subscription": 0.01,
        },
        later_months=8.0,
        formal_share=0.37,
        walk_in_rate=0.13,
    ),
}

NEWCOMER_SHARE = 0.14
"""Of all people, those who first meet the retailer after month 0; they are of any segment."""


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


FORMS: Mapping[str, Form] = {
    "point_of_sale": Form(
        birth_date=0.45,
        identifier=0.05,
        email=0.6,
        other_email=0.4,
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
        other_email=0.3,
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
    """How people pay, which contact they give, and what they show at the till."""

    pays_by_card_share: float = 0.86
    card_at_the_till_share: float = 0.96  # of the tickets of those who pay by card
    email_only_share: float = 0.12
    phone_only_share: float = 0.2
    other_email_share: float = 0.25  # of the records of a person with several e-mails
    shows_customer_number_share: float = 0.6
    shows_loyalty_number_share: float = 0.8
    digital_receipt_share: float = 0.012  # of the tickets without a number
    registered_receipt_share: float = 0.12  # of the cash tickets, on the receipt page
    sweepstake_receipt_share: float = 0.08  # of the cash tickets, in a sweepstake
    receipt_months: float = 1.5  # mean time from a cash ticket to its registration
    logged_in_share: float = 0.8  # of the visits of the app by people with an account
    return_share: float = 0.02  # of the tickets
    guest_order_share: float = 0.03  # of the digital people: orders without an account
    anonymous_visit_share: float = 0.02  # of the people without an account: visits of the app
    consent_share: float = 0.8
    consent_withdrawn_share: float = 0.15


POPULATION = Population()
HABITS = Habits()
