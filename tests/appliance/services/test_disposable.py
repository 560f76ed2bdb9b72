"""Aliases that are there for a while."""

import pytest

from appliance.errors import Conflict
from appliance.models.base import now
from appliance.services import aliases, audit
from tests.fixtures.database import OPERATOR

ONCE, JOE = "once@own.test", "joe@own.test"


def test_an_alias_may_end_and_be_given_more_time(world):
    """What is not said stays; None is for ever; each change has its entry, and none has none."""
    end = now() + 3600
    world.do(lambda s: aliases.create(s, ONCE, [JOE], actor=world.customer, expires_at=end))

    def change(**given):
        def act(session):
            alias = aliases.update(session, ONCE, [JOE], actor=world.customer, **given)
            return alias.expires_at, alias.version

        return world.do(act)

    assert change() == (end, 1)
    assert change(expires_at=end) == (end, 1)
    assert change(expires_at=end + 5) == (end + 5, 2)
    assert change(expires_at=None) == (None, 3)
    search = audit.Search(subject=ONCE)
    entries = world.do(lambda s: audit.list_entries(s, search=search, actor=OPERATOR).items)
    assert [entry.after for entry in entries] == [
        {"targets": [JOE]}, {"targets": [JOE], "expires_at": end + 5}, {"targets": [JOE], "expires_at": end},
    ]  # fmt: skip


@pytest.mark.parametrize("end", [0, -1, 1 << 40])
def test_it_cannot_end_before_it_began(world, end):
    """Nor beyond any calendar; and nothing is changed then."""
    with pytest.raises(Conflict) as caught:
        world.do(lambda s: aliases.create(s, ONCE, [JOE], actor=world.customer, expires_at=end))
    assert (caught.value.code, caught.value.field) == ("bad_moment", "expires_at")
    with pytest.raises(Conflict):
        world.do(lambda s: aliases.update(s, "info@own.test", [JOE], actor=world.customer, expires_at=end))
