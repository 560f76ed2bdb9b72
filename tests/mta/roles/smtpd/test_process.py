"""smtpd as a process: peers that are away, slow or dead, clients that vanish or dawdle, and its own end."""

import os
import resource
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

from tests.fakes.smtpd_house import SmtpdHouse, eventually

Make = Callable[..., SmtpdHouse]


class Client:
    def __init__(self, house: SmtpdHouse, seconds: float = 8.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", house.port), timeout=seconds)
        self.file = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        assert self.reply().startswith(b"220")
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()

    def reply(self) -> bytes:
        while (line := self.file.readline())[3:4] == b"-":
            pass
        return line

    def say(self, *lines: bytes) -> bytes:
        line = b""
        for each in lines:
            self.socket.sendall(each + b"\r\n")
            line = self.reply()
        return line

    def begin(self, sender: bytes = b"a@client.test") -> None:
        assert self.say(b"EHLO client.test", b"MAIL FROM:<" + sender + b">").startswith(b"250")

    def to_content(self, sender: bytes = b"a@client.test") -> None:
        self.begin(sender)
        assert self.say(b"RCPT TO:<joe@example.test>", b"DATA").startswith(b"354")

    def reset(self) -> None:
        """Vanish, with a reset instead of an end."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.file.close()
        self.socket.close()


def test_directory_away_is_451_and_back_is_250(make_smtpd: Make) -> None:
    """Never accept and hope, never a false 550; and the same conversation goes on when it is back."""
    house = make_smtpd()
    with Client(house) as client:
        client.begin()
        house.kill("directory")
        assert client.say(b"RCPT TO:<joe@example.test>").startswith(b"451 4.3.0")
        assert client.say(b"RCPT TO:<unknown@example.test>").startswith(b"451 4.3.0")
        house.start("directory")
        house.connect("smtpd", "directory")
        eventually(lambda: client.say(b"RCPT TO:<joe@example.test>").startswith(b"250"))


def test_directory_dying_over_a_question_is_451(make_smtpd: Make) -> None:
    """What was asked of the lost peer is answered by us."""
    house = make_smtpd()
    with Client(house) as client:
        client.begin()
        assert client.say(b"RCPT TO:<dies@example.test>").startswith(b"451 4.3.0")


def test_enqueuer_away_is_451_and_nothing_is_lost_of_the_conversation(make_smtpd: Make) -> None:
    """The client keeps the message and tries again; here it succeeds in the same conversation."""
    house = make_smtpd()
    with Client(house) as client:
        client.to_content()
        house.kill("enqueuer")
        assert client.say(b"hi\r\n.").startswith(b"451 4.3.0")
        house.start("enqueuer")
        house.connect("smtpd", "enqueuer")
        again = (b"RSET", b"MAIL FROM:<a@client.test>", b"RCPT TO:<joe@example.test>", b"DATA")
        eventually(lambda: client.say(*again).startswith(b"354"))
        assert client.say(b"hi\r\n.").startswith(b"250")
    assert len(house.messages()) == 1


def test_enqueuer_dying_over_a_commit_is_451(make_smtpd: Make) -> None:
    """We do not know what became of it, so we must not say 250."""
    house = make_smtpd()
    with Client(house) as client:
        client.to_content(b"dies@client.test")
        assert client.say(b"hi\r\n.").startswith(b"451 4.3.0")


def test_enqueuer_dying_in_a_large_message_is_451_at_its_end(make_smtpd: Make) -> None:
    """The first blocks went to the dead one, the others nowhere."""
    house = make_smtpd()
    with Client(house) as client:
        client.to_content()
        client.socket.sendall((b"x" * 62 + b"\r\n") * 2000)
        time.sleep(0.3)
        house.kill("enqueuer")
        client.socket.sendall((b"x" * 62 + b"\r\n") * 2000)
        assert client.say(b".").startswith(b"451 4.3.0")


def test_a_reset_before_the_final_dot_withdraws(make_smtpd: Make) -> None:
    """And the listener hears that the conversation is over, once."""
    house = make_smtpd()
    with Client(house) as client:
        client.to_content()
        client.socket.sendall((b"x" * 62 + b"\r\n") * 3000)
        time.sleep(0.3)
        client.reset()
    eventually(lambda: house.withdrawn() == 1)
    eventually(lambda: house.finished() == ["s1"])
    assert house.messages() == []


def test_a_reset_after_the_final_dot_does_not_stop_the_commit(make_smtpd: Make) -> None:
    """The message is taken although nobody is there to hear it."""
    house = make_smtpd()
    with Client(house) as client:
        client.to_content(b"slow@client.test")
        client.socket.sendall(b"hi\r\n.\r\n")
        time.sleep(0.1)
        client.reset()
    eventually(lambda: len(house.messages()) == 1)
    eventually(lambda: house.finished() == ["s1"])
    assert house.withdrawn() == 0


def test_the_journal_hears_of_refusals_with_session_and_client(make_smtpd: Make) -> None:
    """So that an administrator can answer "why did my mail not arrive?"."""
    house = make_smtpd()
    with Client(house) as client:
        client.begin()
        client.say(b"RCPT TO:<unknown@example.test>")
    eventually(lambda: len(house.events()) == 1)
    assert house.events()[0] == (
        "smtpd",
        b"refused",
        {
            b"session": b"s1", b"client": b"127.0.0.1", b"reply": b"550 5.1.1", b"reverse_path": b"a@client.test",
            b"forward_path": b"unknown@example.test",
        },
    )  # fmt: skip


def test_an_idle_client_gets_421_before_it_is_hung_up_on(make_smtpd: Make) -> None:
    """RFC 5321 4.5.3.2.7; dripping octets without finishing a command does not help."""
    house = make_smtpd(limits__command_timeout_seconds="1")
    with Client(house) as client:
        began = time.monotonic()
        for octet in b"NOOPNOOPNO":
            client.socket.sendall(bytes([octet]))
            time.sleep(0.1)
        assert client.reply().startswith(b"421 4.4.2")
        assert 1.0 <= time.monotonic() - began < 5.0


def test_content_that_stops_coming_gets_421_and_is_withdrawn(make_smtpd: Make) -> None:
    """Half a message leaves nothing behind."""
    house = make_smtpd(limits__command_timeout_seconds="1")
    with Client(house) as client:
        client.to_content()
        client.socket.sendall(b"x" * 100_000)
        assert client.reply().startswith(b"421 4.4.2")
    eventually(lambda: house.withdrawn() == 1)


def test_time_does_not_run_while_we_are_the_slow_ones(make_smtpd: Make) -> None:
    """A client is not hung up on for waiting for our disk."""
    house = make_smtpd(limits__command_timeout_seconds="1")
    with Client(house) as client:
        client.to_content(b"silent@client.test")
        client.socket.sendall(b"hi\r\n.\r\n")
        client.socket.settimeout(3.0)
        with pytest.raises(TimeoutError):
            client.file.readline()


def test_the_tarpit_delays_one_client_only(make_smtpd: Make) -> None:
    """Whoever guesses waits; nobody else does."""
    house = make_smtpd(limits__tarpit_seconds="3")
    with Client(house) as guesser, Client(house) as other:
        guesser.begin()
        other.begin()
        began = time.monotonic()
        guesser.socket.sendall(b"RCPT TO:<slow-down@example.test>\r\n")
        assert other.say(b"RCPT TO:<joe@example.test>").startswith(b"250")
        assert time.monotonic() - began < 2.9
        assert guesser.reply().startswith(b"421 4.7.0")
        assert time.monotonic() - began >= 0.9


def test_stop_says_421_to_the_idle_and_lets_the_busy_finish(make_smtpd: Make) -> None:
    """And ends with status 0, saying nothing on stderr."""
    house = make_smtpd()
    with Client(house) as idle, Client(house) as busy:
        idle.begin()
        busy.to_content(b"slow@client.test")
        busy.socket.sendall(b"hi\r\n.\r\n")
        time.sleep(0.1)
        began = time.monotonic()
        assert house.stop("smtpd") == 0
        assert time.monotonic() - began < 3.0
        assert idle.reply().startswith(b"421 4.3.2")
        assert busy.reply().startswith(b"250 2.0.0")
        assert busy.reply().startswith(b"421 4.3.2")
    assert house.output("smtpd") == ""


def test_stop_does_not_wait_for_ever(make_smtpd: Make) -> None:
    """A client in the middle of its content is told 421 within three seconds."""
    house = make_smtpd()
    with Client(house) as client:
        client.to_content()
        assert house.stop("smtpd", seconds=3.5) == 0
        assert client.reply().startswith(b"421 4.3.2")


def test_without_a_supervisor_it_ends(make_smtpd: Make) -> None:
    """Nobody would hand it new peers."""
    house = make_smtpd()
    house.controls["smtpd"].close()
    assert house.await_end("smtpd") == 0


def test_a_process_that_served_its_number_is_through_when_idle(make_smtpd: Make) -> None:
    """The supervisor starts a fresh one in its place."""
    house = make_smtpd(limits__conversations_per_worker="2")
    with Client(house) as first:
        with Client(house) as second:
            second.say(b"QUIT")
        assert first.say(b"NOOP").startswith(b"250")
    assert house.await_end("smtpd") == 0


def test_a_new_listener_is_asked_again_whether_a_process_may_go(make_smtpd: Make) -> None:
    """What the former one promised, the new one does not know."""
    house = make_smtpd(limits__conversations_per_worker="1")
    with Client(house) as client:
        assert client.say(b"NOOP").startswith(b"250")
        house.restart("listener")
        with Client(house) as late:
            assert late.say(b"NOOP").startswith(b"250")
        assert client.say(b"NOOP").startswith(b"250")
    assert house.await_end("smtpd") == 0


def answer_to(house: SmtpdHouse, command: bytes) -> bytes:
    """What a client hears who comes now."""
    with Client(house) as client:
        client.say(b"EHLO a")
        return client.say(command)


def test_settings_change_for_conversations_that_begin_later(make_smtpd: Make) -> None:
    """`postern reload` hangs up on nobody."""
    house = make_smtpd()
    with Client(house) as before:
        before.say(b"EHLO a")
        house.reload(smtpd__max_message_size="70000")
        eventually(lambda: answer_to(house, b"MAIL FROM:<a@b.test> SIZE=70001").startswith(b"552 5.3.4"))
        assert before.say(b"MAIL FROM:<a@b.test> SIZE=70001").startswith(b"250")


def test_a_client_that_never_reads_is_not_read_from(make_smtpd: Make) -> None:
    """Replies nobody takes do not pile up: our reading stops, so the client's writing does."""
    house = make_smtpd()
    with Client(house) as client:
        client.begin()
        client.socket.setblocking(False)
        line, sent = b"RCPT TO:<late-unknown@example.test>\r\n" * 1000, 0
        deadline = time.monotonic() + 3.0
        while time.monotonic() < deadline:
            try:
                sent += client.socket.send(line)
            except BlockingIOError:
                time.sleep(0.05)
        assert sent < 40 * 1024 * 1024
        assert memory_of(house.pids["smtpd"]) < 120 * 1024 * 1024


def test_an_enqueuer_that_does_not_read_stops_the_client(make_smtpd: Make) -> None:
    """What the enqueuer does not take waits at the client, not in our memory; and it goes on where it stopped."""
    house = make_smtpd(smtpd__max_message_size=str(200 * 1024 * 1024))
    with Client(house) as client:
        client.to_content()
        os.kill(house.pids["enqueuer"], signal.SIGSTOP)
        block, sent = (b"x" * 1022 + b"\r\n") * 64, 0
        client.socket.setblocking(False)
        deadline, at = time.monotonic() + 1.5, 0
        while time.monotonic() < deadline:
            try:
                n = client.socket.send(block[at:])
                sent, at = sent + n, (at + n) % len(block)
            except BlockingIOError:
                time.sleep(0.02)
        assert sent < 40 * 1024 * 1024
        assert memory_of(house.pids["smtpd"]) < 120 * 1024 * 1024
        os.kill(house.pids["enqueuer"], signal.SIGCONT)
        client.socket.settimeout(8.0)
        client.socket.sendall(block[at:])
        assert client.say(b".").startswith(b"250")
    assert len(house.messages()[0][1]) == sent + len(block) - at


def memory_of(pid: int) -> int:
    """Resident octets."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def test_random_octets_get_replies_and_make_no_fault(make_smtpd: Make) -> None:
    """Thirty strangers with noise; the thirty-first is served as if nothing had been."""
    house = make_smtpd()
    for number in range(30):
        with Client(house) as client:
            client.socket.sendall(os.urandom(200 * number) + b"\r\n")
            client.socket.shutdown(socket.SHUT_WR)
            assert all(line[:3].isdigit() for line in client.file.read().splitlines())
    with Client(house) as client:
        assert client.say(b"NOOP").startswith(b"250")
    assert not [event for event in house.events() if event[1] == b"fault"]


def test_many_conversations_at_once(make_smtpd: Make) -> None:
    """Two hundred, interleaved; each gets its own answers, and each is over exactly once."""
    house = make_smtpd()
    clients = [Client(house) for _ in range(200)]
    for client in clients:
        client.__enter__()
    for client in clients:
        client.begin()
    for number, client in enumerate(clients):
        client.socket.sendall(b"RCPT TO:<late-%b@example.test>\r\n" % (b"accept", b"unknown")[number % 2])
    for number, client in enumerate(clients):
        assert client.reply().startswith((b"250 2.1.5", b"550 5.1.1")[number % 2])
    for client in clients:
        client.say(b"QUIT")
        client.__exit__()
    eventually(lambda: sorted(house.finished()) == sorted(f"s{n}" for n in range(1, 201)))
