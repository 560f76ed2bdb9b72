"""When a role that ended is started again."""

from appliance.supervisor.restart import FORGIVEN_AFTER, LONGEST_DELAY, Restarts


def test_the_first_restart_comes_at_once_and_the_next_ones_slower() -> None:
    """0, 0.1, 0.2, 0.4 … and never more than ten seconds."""
    restarts = Restarts()
    delays = [restarts.delay_after(lived=1.0) for _ in range(12)]
    assert delays[:5] == [0.0, 0.1, 0.2, 0.4, 0.8]
    assert delays[-1] == LONGEST_DELAY
    assert delays == sorted(delays)


def test_a_minute_of_life_is_forgiveness() -> None:
    """A role that served meanwhile is started at once again; the count for the administrator goes on."""
    restarts = Restarts()
    for _ in range(5):
        restarts.delay_after(lived=1.0)
    assert restarts.delay_after(lived=FORGIVEN_AFTER) == 0.0
    assert restarts.delay_after(lived=1.0) == 0.1
    assert restarts.ended == 7


def test_who_served_and_ended_as_it_should_is_started_at_once_and_not_counted_as_failing() -> None:
    """An smtpd under load may be replaced every few seconds; one that leaves at once, again and again, is a loop."""
    restarts = Restarts()
    assert [restarts.delay_after(lived=2.0, failed=False) for _ in range(6)] == [0.0] * 6
    assert [restarts.delay_after(lived=0.3, failed=False) for _ in range(3)] == [0.0, 0.1, 0.2]
    assert restarts.ended == 9


def test_hopeless_is_said_of_the_fourth_end_in_a_row() -> None:
    """Three may be bad luck; a role with a wrong setting ends every time."""
    restarts = Restarts()
    said = []
    for _ in range(4):
        restarts.delay_after(lived=0.1)
        said.append(restarts.hopeless)
    assert said == [False, False, False, True]
