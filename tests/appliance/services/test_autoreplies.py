"""What a mailbox answers by itself, as its owner saves it."""

import pytest

from appliance.errors import Forbidden, Invalid, NotFound
from appliance.services import appointments, audit, autoreplies, forwardings, mailboxes, removals
from tests.fixtures.database import HOST, OPERATOR

JOE = "joe@own.test"


def put(world, **given):
    text = given.pop("text", "I am away.")
    return world.do(lambda s: autoreplies.describe(autoreplies.put(s, JOE, actor=world.customer, text=text, **given)))


def test_it_is_saved_changed_and_taken_back_and_each_has_its_entry(world):
    """What is saved again as it is leaves no entry; without one there is nothing to take back."""
    first = put(world, subject="  Away  now ", starts_at=1_800_000_000, ends_at=1_900_000_000)
    assert first == {
        "enabled": True, "subject": "Away now", "text": "I am away.", "starts_at": 1_800_000_000, "ends_at": 1_900_000_000,
    }  # fmt: skip
    assert put(world, subject="Away now", starts_at=1_800_000_000, ends_at=1_900_000_000) == first
    put(world, enabled=False)
    for _ in range(2):
        world.do(lambda s: autoreplies.clear(s, JOE, actor=world.customer))
    with pytest.raises(NotFound):
        world.do(lambda s: autoreplies.get(s, JOE, actor=world.customer))
    assert world.do(lambda s: autoreplies.find(s, JOE, actor=world.customer)) is None
    entries = world.do(lambda s: audit.list_entries(s, search=audit.Search(subject=JOE), actor=OPERATOR).items)
    assert [entry.action for entry in entries][:3] == ["autoreply.cleared", "autoreply.set", "autoreply.set"]
    assert world.do(lambda s: mailboxes.get(s, JOE, actor=OPERATOR)).version == 4


def test_its_text_is_kept_as_lines_without_blanks_at_their_ends(world):
    assert put(world, text="\r\n\r\none  \r\n\ttwo\r\rthree\n\n")["text"] == "one\n two\n\nthree"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"text": ""}, "text"),
        ({"text": " \r\n "}, "text"),
        ({"text": "x" * 4001}, "text"),
        ({"text": "bell\x07"}, "text"),
        ({"text": "turned\u202e"}, "text"),
        ({"subject": "x" * 151}, "subject"),
        ({"subject": "a\x00b"}, "subject"),
        ({"starts_at": 10, "ends_at": 10}, "ends_at"),
        ({"starts_at": 20, "ends_at": 10}, "ends_at"),
        ({"starts_at": -1}, "starts_at"),
        ({"ends_at": 1 << 60}, "ends_at"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_field(world, given, field):
    with pytest.raises(Invalid) as caught:
        put(world, **given)
    assert caught.value.field == field
    assert world.do(lambda s: autoreplies.find(s, JOE, actor=OPERATOR)) is None


def test_it_goes_with_its_mailbox_and_comes_back_with_it(world):
    """A removal that is undone brings it back, and conditions of a forwarding too; a mailbox made anew has none."""
    put(world)
    only = {"spam": True}
    world.do(lambda s: forwardings.put(s, JOE, [f"postmaster@{HOST}"], actor=OPERATOR, only=only))
    removed = world.do(lambda s: mailboxes.remove(s, JOE, actor=OPERATOR).removal.id)
    world.do(lambda s: removals.undo(s, removed, actor=OPERATOR))
    assert world.do(lambda s: autoreplies.get(s, JOE, actor=OPERATOR)).text == "I am away."
    assert world.do(lambda s: forwardings.get(s, JOE, actor=OPERATOR)).conditions == only
    world.do(lambda s: mailboxes.remove(s, JOE, actor=OPERATOR))
    world.do(lambda s: mailboxes.create(s, JOE, actor=OPERATOR, discard=True))
    assert world.do(lambda s: autoreplies.find(s, JOE, actor=OPERATOR)) is None


def test_nobody_speaks_in_the_name_of_somebody_above_him(world):
    """What a mailbox answers is its owner's word, as its forwarding is."""
    world.do(lambda s: appointments.appoint(s, JOE, tenant_id=1, actor=OPERATOR))
    with pytest.raises(Forbidden):
        put(world)
