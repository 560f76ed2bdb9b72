"""What one remote, and all of them, may ask of resolver. The clock is ours."""

from mta.roles.resolver import shares
from mta.roles.resolver.desk import MAX_QUESTIONS
from mta.roles.resolver.shares import Shares


class Clock:
    """Seconds."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_one_has_so_many_questions_open_and_an_answer_makes_room() -> None:
    """The others have their own."""
    made = Shares(Clock())
    assert [made.take("one") for _ in range(shares.MOST_OF_ONE + 1)] == [True] * shares.MOST_OF_ONE + [False]
    assert made.take("two")
    made.give_back("one")
    assert [made.take("one"), made.take("one")] == [True, False]


def test_one_asks_so_many_in_a_burst_and_so_many_a_second() -> None:
    """However fast they are answered; time gives it back, but never more than a burst."""
    clock = Clock()
    made = Shares(clock)

    def ask(most: int) -> int:
        taken = 0
        for _ in range(most):
            if made.take("one"):
                taken += 1
                made.give_back("one")
        return taken

    assert ask(1000) == shares.BURST
    clock.now = 2.0
    assert ask(1000) == 2 * shares.PER_SECOND
    clock.now = 1e6
    assert ask(1000) == shares.BURST


def test_all_together_leave_something_to_those_that_are_no_remotes() -> None:
    """Also who left: its questions are under way until they are answered."""
    made = Shares(Clock())
    askers = [number for number in range(20) for _ in range(shares.MOST_OF_ONE) if made.take(number)]
    assert len(askers) == shares.MOST_OF_ALL < MAX_QUESTIONS
    made.forget(0)
    assert not made.take("another")
    made.give_back(0)
    assert made.take("another")


def test_who_is_gone_is_forgotten() -> None:
    """Remotes come and go all day."""
    made = Shares(Clock())
    for number in range(100):
        assert made.take(number)
        made.give_back(number)
        made.forget(number)
    assert made._shares == {}
