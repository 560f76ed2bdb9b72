"""What is remembered, and for how long."""

import pytest

from mta.roles.resolver.cache import ENTRY_OCTETS, Cache
from mta.roles.resolver.query import ANSWER, FAILED, NXDOMAIN, Answer

KEY = (b"example.test", b"A")


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (Answer(ANSWER, records=(b"192.0.2.1",), ttl=60), 60),
        (Answer(ANSWER, records=(b"192.0.2.1",), ttl=0), 5),
        (Answer(ANSWER, records=(b"192.0.2.1",), ttl=1 << 31), 86_400),
        (Answer(NXDOMAIN, ttl=120), 120),
        (Answer(NXDOMAIN, ttl=86_400), 3 * 3600),
        (Answer(FAILED), 5),
    ],
)
def test_everything_is_believed_for_a_while_and_nothing_for_ever(answer: Answer, seconds: int) -> None:
    """What the owner says, between our bounds; "not there" for three hours at most (RFC 2308 5)."""
    cache = Cache()
    cache.put(KEY, answer, now=1000.0)
    assert cache.get(KEY, now=1000.0 + seconds - 0.1) == answer
    assert cache.get(KEY, now=1000.0 + seconds) is None
    assert cache.octets == 0


def test_it_has_a_size() -> None:
    """The oldest goes first, and the count never drifts."""
    cache = Cache(max_octets=10 * (ENTRY_OCTETS + 20))
    for number in range(1000):
        cache.put((b"%03d" % (number % 300), b"A"), Answer(ANSWER, records=(b"192.0.2.1",), ttl=60), now=0.0)
        assert cache.octets <= cache.max_octets
    assert cache.get((b"099", b"A"), now=1.0) is not None
    assert cache.get((b"080", b"A"), now=1.0) is None
