"""Who may come in, and who has how many conversations."""

from hypothesis import given
from hypothesis import strategies as st

from mta.roles.listener.counting import Counts
from mta.roles.listener.networks import Who, who_is
from mta.roles.listener.refusals import TOO_MANY, TOO_MANY_OF_CLIENT, TOO_MANY_OF_NETWORK

A, B, FAR = who_is("192.0.2.1"), who_is("192.0.2.2"), who_is("198.51.100.1")


def let_in(counts: Counts, worker: int, session: bytes, who: Who = A) -> None:
    """It came and was handed on."""
    counts.begin(session, who)
    counts.hand(session, worker)


def test_a_client_has_its_limit_and_the_house_has_one() -> None:
    """421 4.7.0 for the one, 421 4.3.2 for all (RFC 5321 3.8, RFC 3463)."""
    counts = Counts(most=3, most_of_client=2)
    let_in(counts, 0, b"1")
    let_in(counts, 1, b"2")
    assert counts.refusal(A) is TOO_MANY_OF_CLIENT
    assert counts.refusal(B) is None
    let_in(counts, 0, b"3", B)
    assert counts.refusal(B) is TOO_MANY
    counts.end(1, b"2")
    assert counts.refusal(A, trusted=True) is None


def test_who_takes_all_it_gets_leaves_places_for_others() -> None:
    """Twenty greedy clients of different networks, with no limit of their own, never fill the house."""
    counts, number = Counts(most=210, most_of_client=0), 0
    for _ in range(100):
        for client in range(20):
            if counts.refusal(who_is(f"10.{client}.0.1")) is None:
                number += 1
                let_in(counts, 0, b"%d" % number, who_is(f"10.{client}.0.1"))
    assert counts.total == 200
    assert counts.refusal(who_is("10.0.0.1")) is TOO_MANY_OF_CLIENT
    assert counts.refusal(FAR) is None


def test_a_network_has_its_limit_unless_it_is_trusted() -> None:
    """Neighbours count together."""
    counts = Counts(most=100, most_of_client=0, most_of_network=2)
    let_in(counts, 0, b"1")
    let_in(counts, 0, b"2", B)
    assert counts.refusal(A) is TOO_MANY_OF_NETWORK
    assert counts.refusal(A, trusted=True) is None
    assert counts.refusal(FAR) is None


def test_who_waits_is_counted_and_leaves_no_trace() -> None:
    """Handed on, it counts once; gone, not at all."""
    counts = Counts(most=2, most_of_client=1)
    counts.begin(b"1", A)
    assert counts.refusal(A) is TOO_MANY_OF_CLIENT
    counts.begin(b"2", B)
    assert counts.refusal(FAR) is TOO_MANY
    counts.leave(b"2")
    counts.leave(b"2")
    counts.hand(b"1", 0)
    assert (counts.total, counts.load(0)) == (1, 1)
    counts.lose(0)
    assert (counts.total, counts.refusal(A)) == (0, None)


def test_zero_means_no_limit_of_a_client() -> None:
    """The total still holds."""
    counts = Counts(most=100, most_of_client=0)
    for number in range(99):
        let_in(counts, 0, b"%d" % number)
    assert counts.refusal(A, trusted=True) is None


def test_a_worker_ends_its_own_conversations_only() -> None:
    """A taken-over smtpd cannot make room, or trouble, by ending another's, or one that waits; twice is once."""
    counts = Counts(most=10, most_of_client=0)
    let_in(counts, 0, b"1")
    counts.begin(b"2", B)
    counts.end(1, b"1")
    counts.end(0, b"2")
    assert counts.total == 2
    counts.end(0, b"1")
    counts.end(0, b"1")
    assert counts.total == 1


def test_a_lost_worker_takes_its_conversations_with_it() -> None:
    """And nobody else's."""
    counts = Counts(most=10, most_of_client=0)
    for number in range(4):
        let_in(counts, number % 2, b"%d" % number)
    counts.lose(0)
    assert (counts.total, counts.load(0), counts.load(1)) == (2, 0, 2)


@given(st.lists(st.tuples(st.sampled_from("bhwel"), st.integers(0, 2), st.integers(0, 5)), max_size=60))
def test_the_counts_never_drift(steps: list[tuple[str, int, int]]) -> None:
    """Whatever waits, begins, ends and is lost, in any order: when all are gone, nobody is counted."""
    counts, begun, waiting = Counts(most=1000, most_of_client=2, most_of_network=9), set(), set()
    for step, worker, number in steps:
        session, who = b"%d-%d" % (worker, number), (A, B)[number % 2]
        if step == "b" and session not in begun | waiting:
            counts.begin(session, who)
            waiting.add(session)
        elif step == "h" and session in waiting:
            counts.hand(session, worker)
            waiting.discard(session)
            begun.add(session)
        elif step == "w":
            counts.leave(session)
            waiting.discard(session)
        elif step == "e":
            counts.end(worker, session)
            begun.discard(session)
        elif step == "l":
            counts.lose(worker)
            begun = {each for each in begun if not each.startswith(b"%d-" % worker)}
        assert counts.total == len(begun) + len(waiting)
    for worker in range(3):
        counts.lose(worker)
    for session in waiting:
        counts.leave(session)
    assert (counts.total, counts.refusal(A), counts.refusal(B)) == (0, None, None)
