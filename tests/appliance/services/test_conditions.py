"""Which messages a forwarding sends on, as it is saved."""

import pytest

from appliance.errors import Invalid
from appliance.services import conditions, forwardings, holdings
from tests.fixtures.database import OPERATOR

JOE, INFO = "joe@own.test", "postmaster@mx.example.test"


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        (None, None),
        ({}, None),
        ({"senders": [], "subjects": None, "spam": None}, None),
        ({"senders": ["Ann@AWAY.test", ".Shop.Example", "münchen.example", "ann@away.test"]},
         {"senders": ["ann@away.test", ".shop.example", "xn--mnchen-3ya.example"]}),
        ({"subjects": ["  In  voice ", "In voice"]}, {"subjects": ["In voice"]}),
        ({"larger_than": 0, "smaller_than": 10}, {"larger_than": 0, "smaller_than": 10}),
        ({"spam": False}, {"spam": False}),
    ],
)  # fmt: skip
def test_conditions_are_kept_in_one_spelling_and_nothing_asked_is_none(asked, kept):
    assert conditions.parse(asked) == kept
    assert conditions.parse(kept) == kept


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"senders": ["no address@"]}, "conditions.senders"),
        ({"senders": ["nowhere"]}, "conditions.senders"),
        ({"senders": [f"a{number}@away.test" for number in range(21)]}, "conditions.senders"),
        ({"subjects": [" "]}, "conditions.subjects"),
        ({"subjects": ["x" * 101]}, "conditions.subjects"),
        ({"subjects": ["a\x00"]}, "conditions.subjects"),
        ({"larger_than": -1}, "conditions.larger_than"),
        ({"smaller_than": 1 << 60}, "conditions.smaller_than"),
        ({"sender": ["a@b.test"]}, "conditions"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_field(asked, field):
    with pytest.raises(Invalid) as caught:
        conditions.parse(asked)
    assert caught.value.field == field


def test_they_are_read_aloud():
    asked = {"senders": ["a@b.test", ".c.test"], "subjects": ["x"], "larger_than": 1, "smaller_than": 9, "spam": False}
    assert conditions.in_words(asked) == (
        'from a@b.test or .c.test, whose subject contains "x", larger than 1 octets, smaller than 9 octets, not marked as spam'
    )
    assert conditions.in_words(None) == ""


def put(world, **given):
    return world.do(lambda s: forwardings.describe(forwardings.put(s, JOE, [INFO], actor=OPERATOR, **given)))


def test_who_says_nothing_of_conditions_leaves_them_and_none_takes_them_away(world):
    """Or a page that knows nothing of them would send everything on."""
    assert put(world, only={"spam": True})["conditions"] == {"spam": True}
    assert put(world, keep_copy=False)["conditions"] == {"spam": True}
    (mailbox,) = [
        each for each in world.do(lambda s: holdings.give_out(s, actor=OPERATOR))["mailboxes"] if each["address"] == JOE
    ]
    assert mailbox["forwarding"]["conditions"] == {"spam": True}
    assert "conditions" not in put(world, only=None)
