"""Patterns of a mailbox: what is one, who may have it, what it counts, and what it does."""

import pytest

from appliance.errors import Conflict, Forbidden, Invalid, LimitReached, NotFound, Taken
from appliance.models import Pattern
from appliance.services import (
    acceptance,
    addresses,
    aliases,
    audit,
    changes,
    domains,
    foretelling,
    forwardings,
    mailboxes,
    patterns,
    removals,
    tenants,
)
from tests.fixtures.database import OPERATOR

JOE, ANN = "joe@own.test", "ann@own.test"


@pytest.fixture
def house(world):
    world.do(lambda s: mailboxes.create(s, ANN, actor=OPERATOR))
    return world


def put(house, *wanted, address=JOE, actor=None):
    actor = actor or house.customer
    return house.do(lambda s: [row.text for row in patterns.put(s, address, wanted, actor=actor)])


def test_they_are_given_changed_and_taken_away(house):
    """One spelling of each; each change has its entry, and none has none."""
    assert put(house, "Joe-*@own.test", "joe_a.*@OWN.test", "joe-*@own.test") == ["joe-*@own.test", "joe_a.*@own.test"]
    assert put(house, "joe_a.*@own.test", "JOE-*@own.test") == ["joe-*@own.test", "joe_a.*@own.test"]
    given = house.do(lambda s: [row.text for row in patterns.add(s, JOE, ["news-*@own.test"], actor=house.customer)])
    assert given == ["joe-*@own.test", "joe_a.*@own.test", "news-*@own.test"]
    assert put(house) == []
    entries = house.do(lambda s: audit.list_entries(s, search=audit.Search(subject=JOE), actor=OPERATOR).items)
    assert [entry.action for entry in entries[:3]] == ["patterns.set"] * 3
    assert entries[0].before == {"patterns": given}
    kinds = {(change.kind, change.key) for change in house.do(lambda s: changes.since(s, 0))}
    assert {("pattern", "joe-@own.test"), ("pattern", "news-@own.test")} <= kinds


@pytest.mark.parametrize(
    "text",
    ["", "*@own.test", "joe*@own.test", "-*@own.test", "joe-*", "joe-*x@own.test", "joe-**@own.test", "joe-@own.test",
     "jo*e-*@own.test", "joe-*@foreign.test", "joe-*@nowhere", "a-b-c-d-e-*@own.test", "jo e-*@own.test", ".joe-*@own.test",
     f"{'x' * 64}-*@own.test", "joe-.*"],
)  # fmt: skip
def test_what_the_directory_would_never_find_is_none(house, text):
    """One star, before the @, behind a name and a sign; never an expression."""
    with pytest.raises((Invalid, Conflict)) as caught:
        put(house, text)
    assert caught.value.field == "patterns"
    assert house.do(lambda s: s.query(Pattern).count()) == 0


def test_one_has_it_and_another_is_told_so(house):
    """By whom, when he may see that."""
    put(house, "joe-*@own.test")
    with pytest.raises(Taken) as caught:
        put(house, "JOE-*@own.test", address=ANN)
    assert (caught.value.code, caught.value.holder) == ("pattern_taken", "mailboxes/joe@own.test")
    assert put(house, "joe-x-*@own.test", address=ANN) == ["joe-x-*@own.test"]


def test_an_owner_gives_himself_his_own_name_alone(house):
    """And not that of a longer name which is somebody's."""
    assert put(house, "joe-*@own.test", "joe.x-*@own.test", actor=house.owner) == ["joe-*@own.test", "joe.x-*@own.test"]
    house.do(lambda s: mailboxes.create(s, "joe-ann@own.test", actor=OPERATOR))
    for refused in ("sales-*@own.test", "joey-*@own.test", "ann-*@own.test", "joe-ann-*@own.test"):
        with pytest.raises(Forbidden):
            put(house, refused, actor=house.owner)
    with pytest.raises(NotFound):
        put(house, "ann-*@own.test", address=ANN, actor=house.owner)
    assert put(house, "sales-*@own.test", "joe-*@own.test") == ["joe-*@own.test", "sales-*@own.test"]
    assert put(house, "sales-*@own.test", actor=house.owner) == ["sales-*@own.test"], "what he was given he may keep"


def test_each_counts_as_an_alias(house):
    """What goes makes room for what comes."""
    house.do(lambda s: tenants.update(s, house.customer_id, actor=OPERATOR, max_aliases=2))  # one is there
    assert put(house, "joe-*@own.test") == ["joe-*@own.test"]
    with pytest.raises(LimitReached):
        put(house, "joe-*@own.test", "joe.*@own.test")
    assert put(house, "joe.*@own.test") == ["joe.*@own.test"]
    with pytest.raises(LimitReached):
        house.do(lambda s: aliases.create(s, "more@own.test", [JOE], actor=house.customer))
    house.do(lambda s: tenants.update(s, house.customer_id, actor=OPERATOR, max_aliases=None))
    with pytest.raises(LimitReached) as caught:
        put(house, *(f"joe-{number}-*@own.test" for number in range(patterns.MAX_PATTERNS + 1)))
    assert caught.value.code == "limit_patterns"


def test_what_fits_exists_for_targets_and_a_ring_is_seen(house):
    """As the directory finds it: exact names and tags first, the longest pattern."""
    put(house, "joe-*@own.test")
    put(house, "joe-list-*@own.test", address=ANN)
    leads = {"joe-x": [JOE], "joe-list-x": [ANN], "joe+x": [JOE], "joe-": None, "jim-x": None}
    for folded, wanted in leads.items():
        assert house.do(lambda s, f=folded: addresses.next_of(s, f"{f}@own.test")) == wanted
    house.do(lambda s: aliases.create(s, "via@own.test", ["joe-x@own.test"], actor=house.customer))
    with pytest.raises(Conflict) as caught:
        house.do(lambda s: forwardings.put(s, JOE, ["joe-y@own.test"], actor=house.customer))
    assert caught.value.code == "forward_loop"
    told = house.do(lambda s: foretelling.foretell(s, "joe-x@own.test", actor=house.customer))
    assert told.accepted
    assert "fits the pattern joe-*@own.test of joe@own.test" in [step.outcome for step in told.steps]
    house.do(lambda s: domains.update(s, "own.test", catch_all=ANN, actor=house.customer))
    house.do(lambda s: forwardings.put(s, JOE, ["new-y@own.test"], actor=house.customer))
    with pytest.raises(Conflict):
        put(house, "joe-*@own.test", "new-*@own.test")


def effect(house, act):
    def run(session):
        before_number = changes.newest(session)
        act(session)
        session.flush()
        touched = acceptance.touched_since(session, before_number)
        return touched, acceptance.accepted(session, touched)[0]

    touched, after = house.do(run)
    return touched.patterns, after


def test_a_dry_run_names_patterns(house):
    """Given, and with their mailbox suspended and removed."""
    house.do(lambda s: domains.create(s, "other.test", alias_of="own.test", actor=OPERATOR))
    touched, after = effect(house, lambda s: patterns.put(s, JOE, ["joe-*@own.test"], actor=house.customer))
    assert touched == ("joe-@own.test",)
    assert after == {"joe-*@own.test", "joe-*@other.test"}
    assert effect(house, lambda s: mailboxes.suspend(s, JOE, actor=OPERATOR))[1] == set()
    assert {"joe-*@own.test", JOE} <= effect(house, lambda s: mailboxes.resume(s, JOE, actor=OPERATOR))[1]
    whole = effect(house, lambda s: domains.update(s, "own.test", greylist=True, actor=OPERATOR))[1]
    assert {"joe-*@own.test", "joe-*@other.test"} <= whole
    assert effect(house, lambda s: mailboxes.remove(s, JOE, actor=OPERATOR)) == (("joe-@own.test",), set())
    assert house.do(lambda s: s.query(Pattern).count()) == 0


def test_they_go_with_their_domain(house):
    """Announced, each."""
    put(house, "joe-*@own.test")
    newest = house.do(changes.newest)
    house.do(lambda s: domains.remove(s, "own.test", actor=OPERATOR))
    assert ("pattern", "joe-@own.test") in {(row.kind, row.key) for row in house.do(lambda s: changes.since(s, newest))}


def test_they_come_back_with_their_mailbox(house):
    """Unless somebody else has one of them by then."""
    put(house, "joe-*@own.test", "x.*@own.test")
    removed = house.do(lambda s: mailboxes.remove(s, JOE, actor=OPERATOR).removal.id)
    newest = house.do(changes.newest)
    put(house, "x.*@own.test", address=ANN)
    with pytest.raises(Conflict):
        house.do(lambda s: removals.undo(s, removed, actor=OPERATOR))
    put(house, address=ANN)
    house.do(lambda s: removals.undo(s, removed, actor=OPERATOR))
    assert house.do(lambda s: [row.text for row in patterns.get(s, JOE, actor=OPERATOR)]) == [
        "joe-*@own.test",
        "x.*@own.test",
    ]
    assert ("pattern", "joe-@own.test") in {(row.kind, row.key) for row in house.do(lambda s: changes.since(s, newest))}
