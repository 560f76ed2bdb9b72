"""Guessing: limits of a client, its network and all together, and sessions that are told nothing more."""

import pytest

from mta.roles.directory import unknowns
from mta.roles.directory.unknowns import OF_NETWORK, TO_SILENCE, Unknowns
from mta.windows import MAX_KEYS, MINUTE, Window


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_what_was_counted_is_forgotten_as_the_window_slides(clock):
    """Right after a full minute most of it still counts; after two nothing does."""
    window = Window(clock)
    for _ in range(10):
        window.add(b"c")
    assert (window.count(b"c"), window.count(b"d"), window.total) == (10, 0, 10)
    clock.now += MINUTE + MINUTE / 10
    assert window.count(b"c") == pytest.approx(9)
    clock.now += MINUTE * 0.8
    assert window.total == pytest.approx(1)
    clock.now += 2 * MINUTE
    assert window.total == 0


def test_the_memory_of_a_window_is_bounded(clock):
    """Ever new keys do not fill a role's memory; those who were there first are still counted, and all in total."""
    window = Window(clock)
    for number in range(MAX_KEYS + 500):
        window.add(b"%d" % number)
    window.add(b"7")
    assert (len(window), window.count(b"7"), window.total) == (MAX_KEYS, 2, MAX_KEYS + 501)


def test_past_the_limit_a_session_is_told_nothing_more(clock):
    """In another one the client may still name somebody who exists."""
    guesses = Unknowns(clock, per_client=3, in_total=1000)
    assert [guesses.count(b"s1", b"192.0.2.1") for _ in range(4)] == [False] * 3 + [True]
    assert guesses.silences(b"s1", b"192.0.2.1")
    assert not guesses.silences(b"s2", b"192.0.2.1")
    assert not guesses.silences(b"s3", b"192.0.2.9")


def test_a_client_that_goes_on_in_ever_new_sessions_is_silenced_for_a_while(clock):
    """One answer each, up to a multiple of the limit; when the window has moved on, it may ask again."""
    guesses = Unknowns(clock, per_client=3, in_total=1000)
    told = 0
    for number in range(100):
        if not guesses.silences(b"%d" % number, b"192.0.2.1"):
            guesses.count(b"%d" % number, b"192.0.2.1")
            told += 1
    assert told == 3 * TO_SILENCE
    clock.now += 2 * MINUTE
    assert not guesses.silences(b"new", b"192.0.2.1")


def test_the_clients_of_one_network_count_together_too(clock):
    """A spammer rents a /24; with IPv6 a /64 is one client and a /48 one network."""
    guesses = Unknowns(clock, per_client=2, in_total=1000)
    told = [guesses.count(b"%d" % host, b"192.0.2.%d" % host) for host in range(20)]
    assert told == [False] * 2 * OF_NETWORK + [True] * (20 - 2 * OF_NETWORK)
    assert [guesses.count(b"x", b"2001:db8::%x" % host) for host in range(3)] == [False, False, True]
    told = [guesses.count(b"y", b"2001:db8:5:%x::1" % number) for number in range(20)]
    assert told.count(False) == 2 * OF_NETWORK
    assert not guesses.silences(b"z", b"198.51.100.1")


def test_all_clients_together_count_and_nobody_else_is_silenced(clock):
    """Past the limit in total each session gets one answer; who guessed nothing is not concerned."""
    guesses = Unknowns(clock, per_client=20, in_total=6)
    clients = [b"10.%d.0.1" % number for number in range(20)]
    assert [guesses.count(b"s" + client, client) for client in clients] == [False] * 6 + [True] * 14
    assert guesses.silences(b"s" + clients[-1], clients[-1])
    assert not guesses.silences(b"other", b"192.0.2.1")


def test_the_memory_of_silenced_sessions_is_bounded(clock, monkeypatch):
    """The oldest is forgotten: each new one cost its maker a connection."""
    monkeypatch.setattr(unknowns, "MAX_SILENCED", 100)
    guesses = Unknowns(clock, per_client=1, in_total=1)
    for number in range(150):
        guesses.count(b"%d" % number, b"10.0.%d.1" % number)
    assert len(guesses._silenced) == 100
    assert guesses.silences(b"149", b"10.0.149.1")
