"""Who may come in, and who has how many conversations."""

from hypothesis import given
from hypothesis import strategies as st

from mta.roles.listener.counting import TOO_MANY, TOO_MANY_OF_CLIENT, Counts, client_key


def test_a_client_has_its_limit_and_the_house_has_one() -> None:
    """421 4.7.0 for the one, 421 4.3.2 for all (RFC 5321 3.8, RFC 3463)."""
    counts = Counts(most=3, most_of_client=2)
    a, b = client_key("192.0.2.1"), client_key("192.0.2.2")
    counts.begin(0, b"1", a)
    counts.begin(1, b"2", a)
    assert counts.refusal(a) == TOO_MANY_OF_CLIENT
    assert counts.refusal(b) == b""
    counts.begin(0, b"3", b)
    assert counts.refusal(b) == TOO_MANY
    counts.end(1, b"2")
    assert counts.refusal(a) == b""


def test_zero_means_no_limit_of_a_client() -> None:
    """The total still holds."""
    counts = Counts(most=100, most_of_client=0)
    for number in range(99):
        counts.begin(0, b"%d" % number, b"x")
    assert counts.refusal(b"x") == b""


def test_an_ipv6_client_is_its_network() -> None:
    """Whoever has a /64 has 2^64 addresses; zone names do not make another client."""
    assert client_key("2001:db8:1:2::1") == client_key("2001:db8:1:2:ffff::9")
    assert client_key("2001:db8:1:2::1") != client_key("2001:db8:1:3::1")
    assert client_key("fe80::1%eth0") == client_key("fe80::2%eth1")
    assert client_key("192.0.2.1") != client_key("192.0.2.2")


def test_a_worker_ends_its_own_conversations_only() -> None:
    """A taken-over smtpd cannot make room, or trouble, by ending another's; twice is once."""
    counts = Counts(most=10, most_of_client=0)
    counts.begin(0, b"1", b"x")
    counts.end(1, b"1")
    assert counts.total == 1
    counts.end(0, b"1")
    counts.end(0, b"1")
    assert counts.total == 0


def test_a_lost_worker_takes_its_conversations_with_it() -> None:
    """And nobody else's."""
    counts = Counts(most=10, most_of_client=0)
    for number in range(4):
        counts.begin(number % 2, b"%d" % number, b"x")
    counts.lose(0)
    assert (counts.total, counts.load(0), counts.load(1)) == (2, 0, 2)


@given(st.lists(st.tuples(st.sampled_from("bel"), st.integers(0, 2), st.integers(0, 5)), max_size=60))
def test_the_counts_never_drift(steps: list[tuple[str, int, int]]) -> None:
    """Whatever begins, ends and is lost, in any order: when all workers are lost, nobody is counted."""
    counts, begun = Counts(most=1000, most_of_client=2), set()
    for step, worker, number in steps:
        session = b"%d-%d" % (worker, number)
        if step == "b" and session not in begun:
            counts.begin(worker, session, b"c%d" % (number % 2))
            begun.add(session)
        elif step == "e":
            counts.end(worker, session)
            begun.discard(session)
        elif step == "l":
            counts.lose(worker)
            begun = {each for each in begun if not each.startswith(b"%d-" % worker)}
        assert counts.total == len(begun)
    for worker in range(3):
        counts.lose(worker)
    assert (counts.total, counts.refusal(b"c0"), counts.refusal(b"c1")) == (0, b"", b"")
