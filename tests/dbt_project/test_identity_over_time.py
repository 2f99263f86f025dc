"""Identity over time, told as stories: mergers, splits, what is taken back, who was who, and words that contradict."""

import datetime as dt
import itertools
from collections.abc import Iterator

import pytest

from infra import embedded
from sevenfold import identity, model_approval, runs
from sevenfold.dbt import dbt
from sevenfold.identity import Correction, IdentityError
from sevenfold.model_approval import ModelApprovalError
from sevenfold.publication import PublicationError
from splink_models import score_records
from tests.conftest import fresh_warehouse
from tests.dbt_project.identity_world import World
from tests.splink_models.people import people

A, B, C, D, E = (f"C000000000{number}" for number in range(1, 6))
WHY = Correction("seen on paper", "ana")


@pytest.fixture(scope="module")
def built(warehouse_server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A warehouse with every table of the project, all of them empty."""
    with fresh_warehouse(warehouse_server, tmp_path_factory.mktemp("stories")):
        dbt("seed")
        dbt("run")
        yield


@pytest.fixture
def world(built: None) -> Iterator[World]:
    yield World()
    for run_id in list(runs._held_locks):
        runs.release(run_id)


def two_customers(world: World) -> None:
    """Customer A has the older record, alone; customer B has three."""
    world.add("crm:1", "pos:2", "pos:3", "pos:4")
    world.score("pos:2", "pos:3", 0.99)
    world.score("pos:3", "pos:4", 0.99)
    assert world.run() == {"crm:1": A, "pos:2": B, "pos:3": B, "pos:4": B}


def test_two_customers_turn_out_to_be_one_and_undoing_it_gives_back_exactly_what_was(world: World) -> None:
    two_customers(world)
    before = world.customers()

    world.score("crm:1", "pos:2", 0.97)
    assert set(world.run().values()) == {A}
    assert world.events() == [("merged", B, A, 3)]
    assert world.meaning_today() == {A: A, B: A}
    assert world.read(
        """
        select reason_code, left_record_id, right_record_id, match_probability
        from mdm.identity_ledger_events where event_code = 'merged'
        """
    ) == [("threshold", "crm:1", "pos:2", 0.97)]

    stored = identity.undo(world.last_event("merged"), WHY)
    assert stored == 3
    assert world.run() == before
    assert world.events()[1:] == [("split", A, B, 3), ("restored", B, A, 3)]
    assert world.meaning_today() == {A: A, B: B}
    assert world.run() == before, "and it stays so"


def test_a_record_that_came_while_two_were_one_stays_with_the_part_it_fits(world: World) -> None:
    two_customers(world)
    world.score("crm:1", "pos:2", 0.97)
    world.run()
    world.add("pos:9")
    for known in ("pos:2", "pos:3", "pos:4"):
        world.score(known, "pos:9", 0.99)
    assert world.run()["pos:9"] == A
    identity.undo(world.last_event("merged"), WHY)
    assert world.run() == {"crm:1": A, "pos:2": B, "pos:3": B, "pos:4": B, "pos:9": B}


def test_one_customer_turns_out_to_be_two_and_undoing_it_gives_back_exactly_what_was(world: World) -> None:
    world.add("crm:1", "pos:2", "pos:3")
    world.score("crm:1", "pos:2", 0.99)
    world.score("crm:1", "pos:3", 0.99)
    world.score("pos:2", "pos:3", 0.99)
    before = world.run()
    assert set(before.values()) == {A}

    assert identity.split(A, ["crm:1"], WHY) == 2
    assert world.run() == {"crm:1": B, "pos:2": A, "pos:3": A}
    assert world.events() == [("split", A, B, 1)]
    reason = "select reason_code, judgement_id from mdm.identity_ledger_events where event_code = 'split'"
    assert world.read(reason) == [("judgement", 1)]
    assert world.run() == {"crm:1": B, "pos:2": A, "pos:3": A}, "the part keeps the ID it was given"

    identity.undo(world.last_event("split"), WHY)
    assert world.run() == before
    assert world.meaning_today() == {A: A, B: A}
    assert world.events()[1:] == [("merged", B, A, 1)]


def test_a_person_joins_what_no_score_joins_and_another_takes_it_back(world: World) -> None:
    world.add("crm:1", "pos:2")
    assert world.run() == {"crm:1": A, "pos:2": B}
    identity.merge(A, B, WHY)
    assert world.run() == {"crm:1": A, "pos:2": A}
    identity.undo(world.last_event("merged"), Correction("they are cousins", "eva"))
    assert world.run() == {"crm:1": A, "pos:2": B}
    identity.merge(B, A, WHY)
    assert world.run() == {"crm:1": A, "pos:2": A}


def test_every_id_ever_given_resolves_however_long_the_chain(world: World) -> None:
    world.add("crm:1", "crm:2", "crm:3", "crm:4", "crm:5")
    first = world.run()
    assert first == {"crm:1": A, "crm:2": B, "crm:3": C, "crm:4": D, "crm:5": E}
    for older in (4, 3, 2, 1):
        for younger in range(older + 1, 6):
            world.score(f"crm:{older}", f"crm:{younger}", 0.99)
        world.run()
    assert world.meaning_today() == dict.fromkeys((A, B, C, D, E), A)
    steps = world.read("select customer_id, step_count from marts.map_customer_ids order by 1")
    assert steps == [(A, 0), (B, 1), (C, 2), (D, 3), (E, 4)]

    identity.undo(world.last_event("merged"), WHY)
    assert world.run() == {"crm:1": A, "crm:2": B, "crm:3": B, "crm:4": B, "crm:5": B}
    assert world.meaning_today() == {A: A, B: B, C: B, D: B, E: B}


def test_a_customer_whose_records_are_gone_keeps_its_id_for_their_return(world: World) -> None:
    world.add("crm:1", "pos:2")
    world.run()
    world.remove("pos:2")
    assert world.run() == {"crm:1": A}
    assert world.meaning_today() == {A: A, B: None}
    world.add("web:7")
    assert world.run() == {"crm:1": A, "web:7": C}, "an ID that was given is never another's"
    world.add("pos:2")
    assert world.run() == {"crm:1": A, "pos:2": B, "web:7": C}
    assert world.events() == [("retired", B, None, 0), ("restored", B, None, 1)]


def test_a_merged_customer_that_loses_its_oldest_records_keeps_its_id(world: World) -> None:
    two_customers(world)
    world.score("crm:1", "pos:2", 0.97)
    world.run()
    world.remove("crm:1")
    assert set(world.run().values()) == {A}
    assert world.events() == [("merged", B, A, 3)]


def test_who_was_who_on_any_date(world: World) -> None:
    two_customers(world)  # published for 2 January
    world.run()
    world.score("crm:1", "pos:2", 0.97)
    world.run()  # merged on 4 January
    identity.undo(world.last_event("merged"), WHY)
    world.run()  # taken back on 5 January
    days = {day: f"select marts.customer_of('pos:3', '2026-01-0{day}')" for day in range(1, 7)}
    assert {day: world.read(query)[0][0] for day, query in days.items()} == {1: None, 2: B, 3: B, 4: A, 5: B, 6: B}
    assert [(m.customer_id, m.valid_to) for m in identity.memberships("pos:3")] == [
        (B, dt.date(2026, 1, 4)),
        (A, dt.date(2026, 1, 5)),
        (B, None),
    ]
    members = {m.source_record_id for m in identity.memberships(A, dt.date(2026, 1, 4))}
    assert members == {"crm:1", "pos:2", "pos:3", "pos:4"}


def test_every_run_says_how_much_identity_changed(world: World) -> None:
    two_customers(world)
    world.score("crm:1", "pos:2", 0.97)
    world.add("web:5")
    world.run()
    identity.undo(world.last_event("merged"), WHY)
    world.run()
    churn = world.read(
        """
        select
            record_count, known_record_count, moved_record_count, new_record_count, kept_record_share::float,
            created_customer_count, merged_customer_count, split_customer_count, restored_customer_count
        from marts.fct_identity_churn order by run_id
        """
    )
    assert churn == [
        (4, 0, 0, 4, None, 2, 0, 0, 0),
        (5, 4, 3, 1, 0.25, 1, 1, 0, 0),
        (5, 5, 3, 0, 0.4, 0, 0, 1, 1),
    ]


def test_a_judgement_holds_until_the_evidence_changes_and_then_the_pair_waits_again(world: World) -> None:
    world.add("crm:1", "pos:2")
    world.score("crm:1", "pos:2", 0.99)
    world.run()
    world.judge("crm:1", "pos:2", "not_same")
    assert world.run() == {"crm:1": A, "pos:2": B}
    assert world.waiting() == []
    world.add("web:9")
    world.run()
    assert world.waiting() == [], "news elsewhere reopens nothing"

    world.change("pos:2", email="another@example.com")
    assert world.run()["pos:2"] == B, "no rule overturns a person silently"
    assert world.waiting() == [("crm:1", "pos:2", "reopened")]
    world.judge("crm:1", "pos:2", "same")
    assert world.run() == {"crm:1": A, "pos:2": A, "web:9": C}
    assert world.waiting() == []


def test_who_cannot_tell_is_not_asked_again(world: World) -> None:
    world.add("crm:1", "pos:2")
    world.score("crm:1", "pos:2", 0.4)
    world.run()
    assert world.waiting() == [("crm:1", "pos:2", "band")]
    world.judge("crm:1", "pos:2", "cannot_tell")
    assert world.run() == {"crm:1": A, "pos:2": B}
    assert world.waiting() == []
    world.judge("crm:1", "pos:2", "withdrawn")
    world.run()
    assert world.waiting() == [("crm:1", "pos:2", "band")]


def test_words_that_contradict_each_other_join_nobody_and_wait_for_a_person(world: World) -> None:
    """A is B, B is C, and A is not C: apart stays apart, and both "same" wait until one is taken back."""
    world.add("crm:1", "crm:2", "crm:3")
    world.run()
    world.judge("crm:1", "crm:2", "same")
    world.judge("crm:2", "crm:3", "same")
    world.judge("crm:1", "crm:3", "not_same")
    assert world.run() == {"crm:1": A, "crm:2": B, "crm:3": C}
    assert world.waiting() == [("crm:1", "crm:2", "conflict"), ("crm:2", "crm:3", "conflict")]
    world.judge("crm:2", "crm:3", "cannot_tell")
    assert world.run() == {"crm:1": A, "crm:2": A, "crm:3": C}
    assert world.waiting() == []


def add_father_and_son(world: World) -> None:
    """Two records of each, with one phone and name and birth dates a generation apart."""
    world.add("crm:1", "pos:2", "crm:3", "pos:4")
    world.score("crm:1", "pos:2", 0.99)
    world.score("crm:3", "pos:4", 0.99)
    for father, son in itertools.product(("crm:1", "pos:2"), ("crm:3", "pos:4")):
        world.score(father, son, 0.9, birth_date=[-7, 0], phone=[19, 2], given_name=[5, 8])


def test_who_says_same_of_father_and_son_makes_them_one_and_undoing_it_gives_back_exactly_what_was(
    world: World,
) -> None:
    add_father_and_son(world)
    world.add("web:9")
    for known in ("crm:1", "pos:2", "crm:3", "pos:4"):
        world.score(known, "web:9", 0.95)
    before = world.run()
    assert before == {"crm:1": A, "pos:2": A, "crm:3": B, "pos:4": B, "web:9": A}
    assert {pair[:2] for pair in world.waiting() if pair[2] == "parted"} == {("crm:3", "web:9"), ("pos:4", "web:9")}
    identity.merge(A, B, WHY)
    assert set(world.run().values()) == {A}
    identity.undo(world.last_event("merged"), WHY)
    assert world.run() == before
    assert world.meaning_today() == {A: A, B: B}


def test_a_father_and_his_son_are_one_question(world: World) -> None:
    add_father_and_son(world)
    apart = world.run()
    assert len(world.waiting()) == 4
    world.judge("pos:2", "crm:3", "not_same")
    assert world.run() == apart
    assert world.waiting() == []
    world.change("pos:2", email="another@example.com")  # the word is reopened, and the question with it
    world.run()
    assert len(world.waiting()) == 4


def test_a_bridge_between_two_customers_whom_a_person_keeps_apart_joins_neither_to_the_other(world: World) -> None:
    world.add("crm:1", "pos:2")
    world.score("crm:1", "pos:2", 0.4)
    world.run()
    world.judge("crm:1", "pos:2", "not_same")
    world.add("web:9")
    world.score("crm:1", "web:9", 0.999)
    world.score("pos:2", "web:9", 0.97)
    customers = world.run()
    assert (customers["crm:1"], customers["pos:2"]) == (A, B)
    assert customers["web:9"] == A, "the bridge goes where it fits best"


def test_another_model_moves_the_ledger_once_a_person_has_compared_and_approved_it(world: World) -> None:
    two_customers(world)
    before = world.customers()
    world.use_model("story_2-aaaaaaaaaaaa-10")
    world.score("crm:1", "pos:2", 0.97)
    world.score("pos:2", "pos:3", 0.99)
    with pytest.raises(PublicationError, match="story_2-aaaaaaaaaaaa-10 is not the one that the customers come from"):
        world.run()
    runs.close_run("run 2")
    assert world.customers() == before

    comparison = model_approval.compare()
    assert (comparison.model, comparison.ledger_model) == ("story_2-aaaaaaaaaaaa", "story_1-000000000000")
    assert comparison.figures["unchanged_customer_count"] == 0
    assert comparison.figures["merged_customer_count"] == 1
    told = [(each["event_code"], each["customer_id"], each["other_customer_id"]) for each in comparison.samples]
    assert told == [("merged", B, A), ("split", B, C)]

    with pytest.raises(ModelApprovalError, match=r"proposed with story_2-aaaaaaaaaaaa, not story_9"):
        model_approval.approve("story_9", "looks good", "eva")
    model_approval.approve("story_2", "looks good", "eva")
    assert world.run() == {"crm:1": A, "pos:2": A, "pos:3": A, "pos:4": C}
    with pytest.raises(ModelApprovalError, match="may move the ledger already"):
        model_approval.approve("story_2", "looks good", "eva")
    world.use_model("story_2-aaaaaaaaaaaa-11")
    world.run()  # more records: another size class, and no other model


def test_what_cannot_be_undone_is_said(world: World) -> None:
    two_customers(world)
    world.score("crm:1", "pos:2", 0.97)
    world.run()
    event = world.last_event("merged")
    with pytest.raises(IdentityError, match="There is no event 999"):
        identity.undo(999, WHY)
    with pytest.raises(IdentityError, match="is created; a merger or a split"):
        identity.undo(1, WHY)
    identity.undo(event, WHY)
    with pytest.raises(IdentityError, match="undone already"):
        identity.undo(event, WHY)
    with pytest.raises(IdentityError, match="are one customer already: C0000000001"):
        identity.merge(B, A, WHY)
    with pytest.raises(IdentityError, match="web:1: not among the records"):
        identity.split(A, ["web:1"], WHY)
    with pytest.raises(IdentityError, match="These are all records"):
        identity.split(A, ["crm:1", "pos:2", "pos:3", "pos:4"], WHY)
    with pytest.raises(IdentityError, match="never gave the customer ID C9"):
        identity.current_customer("C9")


def test_a_record_without_the_mandatory_names_belongs_to_the_customer_it_fits_and_may_wait_for_a_person(
    world: World,
) -> None:
    world.add("crm:1")
    world.add("pos:2", "web:3", "web:4", quality_level=4, first_last_name_key=None)
    world.score("crm:1", "pos:2", 0.97)
    world.score("web:3", "web:4", 0.97)
    world.score("crm:1", "web:3", 0.3)
    assert world.run() == {"crm:1": A, "pos:2": A}, "who lacks a name founds no customer"
    assert world.waiting() == [("crm:1", "web:3", "band")]
    world.judge("crm:1", "web:3", "same")
    assert world.run() == {"crm:1": A, "pos:2": A, "web:3": A, "web:4": A}
    world.remove("crm:1")
    assert world.run() == {}, "nobody is left who says who the customer is"
    world.add("crm:1")
    assert world.run() == {"crm:1": A, "web:3": A, "web:4": A}, "the judgement holds, the score is gone"


def scored_as_it_is(world: World) -> dict[str, str]:
    """Let the shipped model score the records instead of the story."""
    world.prepare()
    score_records("story")
    return world.run()


def test_shared_phones_join_nobody_by_themselves(world: World) -> None:
    """A till's phone, a company's switchboard, and a family's mobile that parents and children of one roof give."""
    till, switchboard, mobile = "+525555000000", "+525555000001", "+525512345678"
    strangers, _ = people(80, seed=3, records_per_person=(1,))
    for number, stranger in enumerate(strangers):
        known = {name: stranger[name] for name in ("first_name_key", "first_last_name_key")}
        phone = till if number < 40 else switchboard
        world.add(f"shop:{number}", phone=phone, birth_date_for_matching=stranger["birth_date"], **known)
    family = {
        **{"phone": mobile, "email": None, "first_last_name_key": "QUINTANAR", "second_last_name_key": "ZAMBRANO"},
        **{"street_address_key": "CALLE LUNA 7", "postal_code": "06700"},
    }
    for number, name in enumerate(("ROSA", "MARIA ELENA", "MARIA GUADALUPE")):
        born = f"{1960 + 9 * number}-0{number + 1}-07"
        world.add(f"home:{number}", first_name_key=name, birth_date_for_matching=born, **family)
    world.add("home:3", first_name_key=None, birth_date_for_matching=None, **family)
    customers = scored_as_it_is(world)
    assert len(customers) == len(set(customers.values())) == 84
    assert world.read(
        "select value_kind_code, shared_value, record_count from restricted.demoted_values order by 2"
    ) == [
        ("phone", till, 40),
        ("phone", switchboard, 40),
    ]
    # It stays evidence: who gives the family's mobile again is found.
    world.add("web:1", first_name_key="ROSA", birth_date_for_matching=None, **family)
    assert scored_as_it_is(world)["web:1"] == customers["home:0"]


def test_a_customer_that_hangs_on_a_weak_pair_waits_and_a_word_settles_it(world: World) -> None:
    world.add("crm:1", "pos:2", "pos:3")
    world.score("crm:1", "pos:2", 0.6)
    world.score("pos:2", "pos:3", 0.99)
    assert set(world.run().values()) == {A}, "it stays as it is"
    assert world.waiting() == [("crm:1", "pos:2", "weak_link")]
    world.judge("crm:1", "pos:2", "same")
    assert set(world.run().values()) == {A}
    assert world.waiting() == []
    world.judge("crm:1", "pos:2", "not_same")
    assert len(set(world.run().values())) == 2


def test_every_published_run_leaves_its_figures_and_none_is_changed(world: World) -> None:
    figures = "select run_id, metric_code, metric_value from marts.fct_match_metrics where bucket_code in ('all', '2')"
    world.add("crm:1", "pos:2")
    world.score("crm:1", "pos:2", 0.99)
    world.run()
    first = set(world.read(figures))
    assert ("run 1", "matched_record_share", 1.0) in first
    assert ("run 1", "group_size", 1.0) in first
    world.add("web:3")
    world.run()
    both = set(world.read(figures))
    assert first < both
    assert ("run 2", "group_size", 0.5) in both
