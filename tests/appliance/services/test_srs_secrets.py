"""The secrets of return paths: a fresh one signs, old ones are believed until nothing can come back that they made."""

import pytest
from sqlalchemy import select

from appliance.errors import NotFound
from appliance.models import SrsSecret
from appliance.services import srs_secrets
from tests.fixtures.database import OPERATOR

DAY = 86_400


def kept(world):
    return world.do(lambda s: list(s.scalars(select(SrsSecret.secret).order_by(SrsSecret.id.desc()))))


def rotate(world, now_seconds):
    return world.do(lambda s: srs_secrets.rotate(s, actor=OPERATOR, now_seconds=now_seconds))


def test_a_secret_goes_when_nothing_it_made_can_still_come_back(world):
    """Counted from when the next one took over, however old it was then."""
    (first,) = kept(world)
    begun = world.do(lambda s: s.scalars(select(SrsSecret.made_at)).one())
    assert rotate(world, begun + 400 * DAY) == 2, "it signed until a moment ago"
    second = kept(world)[0]
    assert rotate(world, begun + 400 * DAY + srs_secrets.KEPT_SECONDS - 1) == 3
    assert rotate(world, begun + 400 * DAY + srs_secrets.KEPT_SECONDS + 1) == 3
    left = kept(world)
    assert first not in left
    assert second in left
    assert len({len(secret) for secret in left}) == 1


def test_no_more_are_believed_than_can_be_tried_quickly(world):
    """Who rotates every minute makes bounces of yesterday unknown; that is said in the manual."""
    now = world.do(lambda s: s.scalars(select(SrsSecret.made_at)).one())
    for second in range(20):
        believed = rotate(world, now + second)
    assert believed == srs_secrets.MAX_KEPT == len(kept(world))


def test_secrets_are_the_operators(world):
    """For a customer there is no such thing."""
    with pytest.raises(NotFound):
        world.do(lambda s: srs_secrets.rotate(s, actor=world.customer))
