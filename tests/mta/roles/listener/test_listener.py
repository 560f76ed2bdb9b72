"""The listener's process, with the test as its supervisor and its smtpds."""

import contextlib
import os
import resource
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mta import roster
from mta.roles.listener.__main__ import SPARE_FILES, Listener
from mta.wire import control, permits
from mta.wire import messages as m
from mta.wire.channel import Channel, pair
from mta.wire.loop import Loop
from mta.wire.tickets import SESSION_SECONDS, is_session_over, session_token_holds
from tests.fixtures.lone_role import LoneRole

KEY = b"k" * 32
LIMITS = {"smtpd.max_connections": b"100", "smtpd.max_connections_per_client": b"4", roster.SESSION_KEY: KEY}


@pytest.fixture
def door(tmp_path: Path) -> Iterator[tuple[LoneRole, tuple[str, int]]]:
    (tmp_path / "run" / "empty").mkdir(parents=True)
    role = LoneRole(roster.LISTENER, tmp_path, root=os.geteuid() == 0, settings=LIMITS)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        role.control.send(m.ListeningSocket(b"smtp", b"127.0.0.1"), (sock.fileno(),))
        yield role, sock.getsockname()
    assert role.end() == ""


def accepted(worker: Channel, seconds: float = 10.0) -> list[tuple[m.Accepted, socket.socket]]:
    """Everything that arrives within a moment after the first."""
    found, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        for message, descriptors in worker.receive():
            found.append((message, socket.socket(fileno=descriptors[0])))
            until = time.monotonic() + 0.2
        time.sleep(0.01)
    return found


def close(*sockets: socket.socket) -> None:
    for each in sockets:
        each.close()


def test_a_connection_is_handed_on_with_a_proof_of_its_client(door: tuple[LoneRole, tuple[str, int]]) -> None:
    """The socket itself, a session id of 16 digits that is its own, and a token that holds for exactly this client."""
    role, address = door
    worker = role.as_server("smtpd")
    clients = [socket.create_connection(address) for _ in range(3)]
    found = accepted(worker)
    assert len({message.session for message, _ in found}) == 3
    for message, sock in found:
        assert len(message.session) == 16
        assert not is_session_over(message.session, time.time())
        assert is_session_over(message.session, time.time() + SESSION_SECONDS + 60)
        assert (message.client, message.service) == (b"127.0.0.1", b"smtp")
        assert session_token_holds(KEY, message.token, message.session, message.client)
        assert not session_token_holds(KEY, message.token, message.session, b"192.0.2.1")
        assert sock.getpeername()[1] == message.client_port
        sock.sendall(b"220 hello\r\n")
    assert [client.recv(100) for client in clients] == [b"220 hello\r\n"] * 3
    close(*clients, *(sock for _, sock in found))


def test_too_many_of_one_client_are_told_so_until_one_ends(door: tuple[LoneRole, tuple[str, int]]) -> None:
    """421 4.7.0 and a closed door; `Finished` makes room for one."""
    role, address = door
    worker = role.as_server("smtpd")
    clients = [socket.create_connection(address) for _ in range(5)]
    found = accepted(worker)
    assert len(found) == 4
    replies = [client.recv(200) for client in clients[4:]]
    assert [reply[:9] for reply in replies] == [b"421 4.7.0"]
    worker.send(m.Finished(found[0][0].session))
    more: list[tuple[m.Accepted, socket.socket]] = []
    until = time.monotonic() + 20
    while not more and time.monotonic() < until:  # Which of the two it hears of first is the listener's own affair.
        clients.append(socket.create_connection(address))
        more = accepted(worker, 0.3)
    assert len(more) == 1
    close(*clients, *(sock for _, sock in found + more))


def test_who_has_left_is_counted_no_more_though_the_news_came_after_the_next_client(
    door: tuple[LoneRole, tuple[str, int]],
) -> None:
    """The listener was slow: four clients wait, and behind them stands that the four before are gone."""
    role, address = door
    worker = role.as_server("smtpd")
    before = [socket.create_connection(address) for _ in range(4)]
    found = accepted(worker)
    role.process.send_signal(signal.SIGSTOP)
    try:
        after = [socket.create_connection(address) for _ in range(4)]
        for message, _ in found:
            worker.send(m.Finished(message.session))
    finally:
        role.process.send_signal(signal.SIGCONT)
    again = accepted(worker)
    assert len(again) == 4
    close(*before, *after, *(sock for _, sock in found + again))


def test_without_an_smtpd_callers_wait_in_the_kernel(door: tuple[LoneRole, tuple[str, int]]) -> None:
    """Nobody is turned away while an smtpd is being restarted; it finds them when it comes."""
    role, address = door
    first = role.as_server("smtpd")
    early = socket.create_connection(address)
    found = accepted(first)
    first.close()
    late = [socket.create_connection(address) for _ in range(3)]
    for each in late:
        each.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            assert each.recv(100) == "nothing at all"
    more = accepted(role.as_server("smtpd"))
    assert len(more) == 3
    close(early, *late, *(sock for _, sock in found + more))


def test_of_two_that_want_to_retire_one_stays_until_the_other_has_a_successor(
    door: tuple[LoneRole, tuple[str, int]],
) -> None:
    """`Retired` is the last thing a process hears, after every client sent to it; and somebody is always at the door."""
    role, address = door
    workers = [role.as_server("smtpd", instance) for instance in range(2)]
    for worker in workers:
        worker.send(m.Retire())
    assert isinstance(workers[0].wait()[0], m.Retired)
    clients = [socket.create_connection(address) for _ in range(3)]
    found = accepted(workers[1])
    assert len(found) == 3
    workers[0].close()
    successor = role.as_server("smtpd", 0)
    assert isinstance(workers[1].wait()[0], m.Retired)
    late = socket.create_connection(address)
    found += accepted(successor)
    assert len(found) == 4
    close(*clients, late, *(sock for _, sock in found))


def test_the_only_one_retires_when_it_has_no_client_or_insists(door: tuple[LoneRole, tuple[str, int]]) -> None:
    """Busy, it is kept, since nobody else is there; asked a second time, the callers wait in the kernel instead."""
    role, address = door
    only = role.as_server("smtpd")
    clients = [socket.create_connection(address)]
    found = accepted(only)
    only.send(m.Retire())
    clients.append(socket.create_connection(address))
    found += accepted(only)
    assert len(found) == 2
    only.send(m.Retire())
    assert isinstance(only.wait()[0], m.Retired)
    clients.append(socket.create_connection(address))
    assert accepted(only, seconds=0.3) == []
    only.close()
    found += accepted(role.as_server("smtpd"))
    assert len(found) == 3
    close(*clients, *(sock for _, sock in found))


def test_the_only_one_retires_as_soon_as_its_last_client_left(door: tuple[LoneRole, tuple[str, int]]) -> None:
    """`Finished` of the last one is the moment."""
    role, address = door
    only = role.as_server("smtpd")
    client = socket.create_connection(address)
    found = accepted(only)
    only.send(m.Retire())
    only.send(m.Finished(found[0][0].session))
    assert isinstance(only.wait()[0], m.Retired)
    close(client, *(sock for _, sock in found))


# --- waiting, PROXY and rules, with the test as a stranger: loopback is not let in here without a wait

STRICT = LIMITS | {
    "limits.greeting_delay_seconds": b"1", "smtpd.max_connections_per_client": b"0", "smtpd.max_connections": b"100",
}  # fmt: skip


@contextlib.contextmanager
def strict(tmp_path: Path, **settings: bytes) -> Iterator[tuple[LoneRole, tuple[str, int]]]:
    """A listener to which 127.0.0.1 is a stranger."""
    (tmp_path / "run" / "empty").mkdir(parents=True)
    named = {name.replace("__", "."): value for name, value in settings.items()}
    role = LoneRole(roster.LISTENER, tmp_path, root=os.geteuid() == 0, settings=STRICT | named)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        role.control.send(m.ListeningSocket(b"smtp", b"127.0.0.1"), (sock.fileno(),))
        yield role, sock.getsockname()
    assert role.end() == ""


def heard(client: socket.socket, seconds: float = 5.0) -> bytes:
    """Everything the client is told until the other side closes."""
    client.settimeout(seconds)
    said = b""
    while block := client.recv(1000):
        said += block
    return said


def test_a_stranger_waits_in_silence_and_the_next_time_not(tmp_path: Path) -> None:
    """The wait costs no smtpd: nothing is handed on before it is over. Then the client is known."""
    with strict(tmp_path) as (role, address):
        worker = role.as_server("smtpd")
        start = time.monotonic()
        client = socket.create_connection(address)
        found = accepted(worker)
        assert time.monotonic() - start > 0.9
        known = socket.create_connection(address)
        found += accepted(worker, seconds=0.9)
        assert len(found) == 2
        close(client, known, *(sock for _, sock in found))


def test_who_speaks_before_the_greeting_is_told_so_and_noted(tmp_path: Path) -> None:
    """554 5.5.1 that arrives although the client's octets were never read; who just leaves is no event."""
    with strict(tmp_path) as (role, address):
        worker, journal = role.as_server("smtpd"), role.as_server("journal")
        talker, leaver = socket.create_connection(address), socket.create_connection(address)
        talker.sendall(b"EHLO early.test\r\n" * 100)
        leaver.close()
        said = heard(talker)
        assert said.startswith(b"554 5.5.1 ")
        assert said.endswith(b"\r\n")
        assert accepted(worker, seconds=1.5) == []
        [event] = [message for message, _ in journal.receive()]
        pairs = dict(zip(event.pairs[::2], event.pairs[1::2], strict=True))
        assert (event.name, pairs[b"reason"], pairs[b"connections"]) == (b"turned-away", b"early-talker", b"1")
        again = socket.create_connection(address)
        assert accepted(worker, seconds=0.5) == [], "it has not passed, so it waits again"
        close(talker, again)


def test_a_proxys_clients_are_counted_judged_and_named_by_their_own_address(tmp_path: Path) -> None:
    """The header goes, not an octet more; deny, limits and the session's token are about the real client."""
    rules = {"smtpd__proxy_clients": b"127.0.0.1/32", "smtpd__deny_clients": b"203.0.113.0/24"}
    limits = {"smtpd__max_connections_per_client": b"1", "limits__greeting_delay_seconds": b"0"}
    with strict(tmp_path, **rules, **limits) as (role, address):
        worker = role.as_server("smtpd")
        clients = [socket.create_connection(address) for _ in range(5)]
        clients[0].sendall(b"PROXY TCP4 192.0.2.9 198.51.100.1 40000 25\r\nEHLO real.test\r\n")
        [(message, sock)] = accepted(worker)
        assert (message.client, message.client_port) == (b"192.0.2.9", 40_000)
        assert session_token_holds(KEY, message.token, message.session, b"192.0.2.9")
        assert sock.recv(1000) == b"EHLO real.test\r\n"
        clients[1].sendall(b"PROXY TCP4 192.0.2.9 198.51.100.1 40001 25\r\n")
        assert heard(clients[1]).startswith(b"421 4.7.0 ")
        clients[2].sendall(b"PROXY TCP4 203.0.113.4 198.51.100.1 40001 25\r\nEHLO\r\n")
        assert heard(clients[2]).startswith(b"554 5.7.1 ")
        clients[3].sendall(b"EHLO without.test\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert heard(clients[3]) == b""
        for piece in (b"PROXY UN", b"KNOWN\r", b"\n"):
            clients[4].sendall(piece)
            time.sleep(0.05)
        [(own, second)] = accepted(worker)
        assert own.client == b"127.0.0.1"
        close(*clients, sock, second)


def test_a_proxy_that_says_nothing_is_closed(tmp_path: Path) -> None:
    """After five seconds, without a word: behind the header would be SMTP."""
    with strict(tmp_path, smtpd__proxy_clients=b"127.0.0.1/32") as (role, address):
        worker = role.as_server("smtpd")
        client, start = socket.create_connection(address), time.monotonic()
        client.sendall(b"PROXY TCP4 ")
        assert heard(client, 8.0) == b""
        assert time.monotonic() - start > 4.5
        assert accepted(worker, seconds=0.1) == []
        close(client)


def test_changed_rules_hold_from_the_next_connection(tmp_path: Path) -> None:
    """Deny and delay are reloaded without a restart."""
    with strict(tmp_path, limits__greeting_delay_seconds=b"0") as (role, address):
        worker = role.as_server("smtpd")
        first = socket.create_connection(address)
        found = accepted(worker)
        changed = STRICT | {"smtpd.deny_clients": b"127.0.0.0/8"}
        role.control.send(m.Reload(tuple(part for name, value in changed.items() for part in (name.encode(), value))))
        told, until = b"", time.monotonic() + 20
        while (
            not told and time.monotonic() < until
        ):  # Who comes before it has read them is let in, and hears nothing here.
            with socket.create_connection(address) as second, contextlib.suppress(TimeoutError):
                told = heard(second, 0.5)
            found += accepted(worker, 0.1) if not told else []
        assert told.startswith(b"554 5.7.1 ")
        close(first, *(sock for _, sock in found))


def test_there_are_no_more_places_than_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the walls hold fewer than the settings say, the rest hears 421, and no smtpd is sent what it cannot take."""
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (4096, 4096))
    ours, theirs = pair()
    supervisor = Channel(ours, "listener", permits.TO_SUPERVISOR)
    told = STRICT | {"smtpd.max_connections": b"20000"}
    supervisor.send(m.Begin(tuple(part for name, value in told.items() for part in (name.encode(), value))))
    start = control.begin(roster.LISTENER, theirs.detach())
    listener = Listener(start, Loop())
    assert listener._gates[0].counts.most == 4096 - SPARE_FILES
    listener._reload(told | {"smtpd.max_connections": b"1000"})
    assert listener._gates[0].counts.most == 1000
    supervisor.close()
    start.control.close()
