"""The shell, with everything around it faked: what it does when our own code fails, and when time passes."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from mta.shells.session import Session, where
from mta.smtp.driving import LINGER_SECONDS
from mta.smtp.events import Verdict
from mta.smtp.server import Policy, Server
from mta.vocabulary import Word
from mta.wire import messages as m

SECRET = "the password of a stranger"


class Transport:
    def __init__(self) -> None:
        self.written = b""
        self.closed = self.aborted = self.ended = False

    def write(self, octets: bytes) -> None:
        self.written += octets

    def write_eof(self) -> None:
        self.ended = True

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Worker:
    def __init__(self) -> None:
        self.policy = Policy(hostname=b"mx.example.test")
        self.tls_away = False
        self.stopping = False
        self.time = 1000.0
        self.faults: list[Exception] = []
        self.over: list[Session] = []

    def policy_of(self, _accepted: m.Accepted) -> Policy:
        return self.policy

    def now(self) -> float:
        return self.time

    def note(self, session: Session, name: str, pairs: dict[str, Any]) -> None:
        pass

    def fault(self, session: Session, error: Exception) -> str:
        self.faults.append(error)
        return f"7b-{len(self.faults)}"

    def ended(self, session: Session) -> None:
        self.over.append(session)


Begun = tuple[Session, Worker, Transport]


@pytest.fixture
def begun() -> Begun:
    worker, transport = Worker(), Transport()
    accepted = m.Accepted(b"s1", b"192.0.2.1", 1234, b"smtp", b"token")
    session = Session(worker, accepted, None)  # type: ignore[arg-type]
    session.connection_made(transport)  # type: ignore[arg-type]
    return session, worker, transport


def fail(*_: object) -> list[Any]:
    raise RuntimeError(SECRET)


def test_an_error_of_ours_is_451_with_a_number_and_nothing_more(begun: Begun, monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporary, so no mail is lost; and the client learns nothing of our inside."""
    session, worker, transport = begun
    monkeypatch.setattr(Server, "receive", fail)
    session.data_received(b"NOOP\r\n")
    last = transport.written.splitlines()[-1]
    assert last.startswith(b"451 4.3.0")
    assert b"7b-1" in last
    assert SECRET.encode() not in transport.written
    assert [str(error) for error in worker.faults] == [SECRET]
    assert transport.ended


def test_an_error_in_the_error_ends_the_connection(begun: Begun, monkeypatch: pytest.MonkeyPatch) -> None:
    """When not even the 451 can be said, at least nobody waits for ever."""
    session, worker, transport = begun
    monkeypatch.setattr(Server, "receive", fail)
    monkeypatch.setattr(Server, "break_off", fail)
    session.data_received(b"NOOP\r\n")
    assert len(worker.faults) == 2
    assert transport.aborted


def test_the_journal_gets_the_place_of_an_error_and_not_its_words() -> None:
    """The words may hold what a client said."""
    try:
        fail()
    except RuntimeError as error:
        place = where(error)
    assert "test_session.py" in place
    assert SECRET not in place


def test_the_deadline_moves_with_commands_and_not_with_octets(begun: Begun) -> None:
    """RFC 5321 4.5.3.2.7."""
    session, worker, _ = begun
    assert session.deadline == 1300.0
    worker.time = 1100.0
    session.data_received(b"NOO")
    assert session.deadline == 1300.0
    session.data_received(b"P\r\n")
    assert session.deadline == 1400.0


def test_past_the_deadline_421_is_said_and_the_client_listened_to_a_moment(begun: Begun) -> None:
    """Closing at once would make the kernel send a reset that can overtake the reply."""
    session, _, transport = begun
    session._timeout_cb()
    assert transport.written.endswith(b"421 4.4.2 Waited too long for you\r\n")
    assert transport.ended
    assert not transport.closed
    assert session.deadline == 1000.0 + LINGER_SECONDS
    session.data_received(b"MAIL FROM:<a@b.test>\r\n")
    session._timeout_cb()
    assert transport.closed
    assert session.deadline == math.inf
    assert transport.written.count(b"\r\n") == 2


@pytest.mark.parametrize("ends", [lambda session: session.data_received(b"QUIT\r\n"), Session.eof_received])
def test_whoever_said_goodbye_is_closed_on_at_once(begun: Begun, ends: Callable[[Session], None]) -> None:
    """No lingering for those who ended it themselves."""
    session, _, transport = begun
    ends(session)
    assert transport.closed


def test_a_conversation_has_an_end(begun: Begun) -> None:
    """An hour until the next command is refused, two until even a message in hand is broken off."""
    session, worker, transport = begun
    session.data_received(b"EHLO a\r\n")
    session.check_age(worker.time + 3599)
    assert b"421" not in transport.written
    session.check_age(worker.time + 3601)
    assert transport.written.endswith(b"421 4.4.2 This connection has lasted long enough\r\n")


def test_a_message_in_hand_has_longer_but_not_for_ever(begun: Begun) -> None:
    """One that began before the end of the hour may be finished, unless that takes another."""
    session, worker, transport = begun
    session._core.receive(b"EHLO a\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<joe@example.test>\r\n")  # no directory is here
    session._core.verdict(1, Verdict(Word.ACCEPT, b"", 1, b"ticket"))
    session.data_received(b"DATA\r\nSubject: long\r\n")
    session.check_age(worker.time + 3601)
    assert b"421" not in transport.written
    session.check_age(worker.time + 7201)
    assert transport.written.endswith(b"421 4.4.2 This connection has lasted long enough\r\n")


def test_the_listener_is_told_once(begun: Begun) -> None:
    """Told twice, it would count a client less than there are."""
    session, worker, _ = begun
    session.data_received(b"QUIT\r\n")
    session.connection_lost(None)
    assert worker.over == [session]
