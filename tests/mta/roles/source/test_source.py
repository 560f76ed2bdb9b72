"""The role source between a directory, a resolver and places outside that answer, are silent, away, or talk nonsense."""

import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from mta.roles.source import callahead, hook, memory
from mta.roles.source import desk as source_desk
from mta.roles.source.callahead import word_of, written
from mta.roles.source.memory import SECONDS, Memory
from mta.roles.source.places import split_host_port
from mta.smtp.client import Reply
from mta.snapshot.records import Source, pack_record
from mta.vocabulary import Word
from mta.wire import messages as m
from tests.fakes.house import events
from tests.mta.roles.source._rig import smtp

TREE = Path(__file__).resolve().parents[4]
INSTANCE = b"i" * 16


# --- memory, single flight -------------------------------------------------------------------------------------------


def test_what_was_found_out_is_believed_for_its_time_and_the_memory_is_bounded(monkeypatch):
    """A yes longer than a no; the oldest is forgotten."""
    monkeypatch.setattr(memory, "MAX_KEPT", 3)
    now = [0.0]
    kept = Memory(lambda: now[0])
    for word in (Word.ACCEPT, Word.UNKNOWN):
        assert kept.put(word.value, word) == SECONDS[word]
    assert kept.get(b"unknown") == (Word.UNKNOWN, 300)
    now[0] += 301
    assert (kept.get(b"unknown"), kept.get(b"accept")) == (None, (Word.ACCEPT, 3299))
    for number in range(3):
        kept.put(b"%d" % number, Word.ACCEPT)
    assert (kept.get(b"accept"), kept.get(b"0")) == (None, (Word.ACCEPT, 3600))


def test_one_address_asked_about_many_times_at_once_is_asked_about_once_outside(rig, serve):
    """And a while later not at all; of another server for the domain nothing is known."""
    server = serve(smtp({b"joe": b"250 ok"}, delay=0.1))
    rig.publish(one_example=(b"call-ahead", {"next_hop": f"127.0.0.1:{server.port}"}))
    assert rig.ask(*[b"joe@one.example"] * 20) == [Word.ACCEPT] * 20
    assert rig.ask(b"joe@one.example") == [Word.ACCEPT]
    assert [line for line in server.heard if line.startswith(b"RCPT")] == [b"RCPT TO:<joe@one.example>"]
    other = serve(smtp({}))
    rig.publish(one_example=(b"call-ahead", {"next_hop": f"127.0.0.1:{other.port}"}))
    assert rig.ask(b"joe@one.example") == [Word.UNKNOWN]


def test_a_domain_without_a_source_or_with_nonsense_settings_is_try_later(rig):
    """The journal hears of the second, once."""
    rig.publish(
        odd_example=(b"ldap", {"url": "ldap://127.0.0.1:99999"}), none_example=(b"strange", {}),
        half_example=(b"hook", {}),
    )  # fmt: skip
    addresses = (b"a@odd.example", b"b@odd.example", b"a@none.example", b"a@half.example", b"a@unheard.example")
    assert rig.ask(*addresses) == [Word.TRY_LATER] * 5
    told = [pairs[b"domain"] for _, pairs in events(rig.journal, rig.house)]
    assert told == [b"odd.example", b"none.example", b"half.example"]


# --- call-ahead ------------------------------------------------------------------------------------------------------


def test_the_next_hop_is_asked_as_far_as_rcpt_over_one_connection(rig, serve):
    """With the null reverse-path; never DATA; replies are taken for what they are about."""
    replies = {b"joe": b"250 ok", b"full": b"452 4.2.2 full", b"grey": b"451 4.7.1 later", b"policy": b"550 5.7.1 no"}
    server = serve(smtp(replies))
    rig.publish(one_example=(b"call-ahead", {"next_hop": f"127.0.0.1:{server.port}"}))
    words = [rig.ask(name + b"@one.example")[0] for name in (b"joe", b"gone", b"full", b"grey", b"policy")]
    assert words == [Word.ACCEPT, Word.UNKNOWN, Word.FULL, Word.TRY_LATER, Word.TRY_LATER]
    assert server.connections == 1
    assert server.heard[:4] == [b"EHLO mx.example", b"MAIL FROM:<>", b"RCPT TO:<joe@one.example>", b"RSET"]
    assert not any(line.upper().startswith(b"DATA") for line in server.heard)


def test_many_addresses_at_once_share_a_few_connections(rig, serve):
    """Also where the server ends each after two questions."""
    server = serve(smtp({b"u%d" % number: b"250 ok" for number in range(0, 30, 2)}, most=2))
    rig.publish(one_example=(b"call-ahead", {"next_hop": f"127.0.0.1:{server.port}"}))
    words = rig.ask(*[b"u%d@one.example" % number for number in range(30)], seconds=10)
    assert words == [Word.UNKNOWN if number % 2 else Word.ACCEPT for number in range(30)]


@pytest.mark.parametrize(
    "script",
    [
        lambda server, client: client.sendall(b"554 no\r\n"),
        lambda server, client: client.sendall(b"SSH-2.0-x\r\n"),
        lambda server, client: None,
        lambda server, client: client.sendall(b"220 x\r\n" * 3),
        smtp({b"joe": b"nonsense"}),
        smtp({b"joe": b"421 bye"}),
        smtp({b"joe": b"250 " + b"x" * 5000}),
        smtp({}, hello=b"421 busy\r\n"),
    ],
)
def test_whatever_a_next_hop_does_but_answer_is_try_later(rig, serve, script):
    """And is told to the operator."""
    server = serve(script)
    rig.publish(one_example=(b"call-ahead", {"next_hop": f"127.0.0.1:{server.port}"}))
    assert rig.ask(b"joe@one.example") == [Word.TRY_LATER]
    ((name, pairs),) = events(rig.journal, rig.house)
    assert (name, pairs[b"domain"]) == (b"source-trouble", b"one.example")
    assert pairs[b"why"]


def test_a_next_hop_that_is_silent_or_away_is_given_up_in_time(rig, serve, monkeypatch):
    """The next question is asked anew after a while."""
    monkeypatch.setattr(callahead, "PATIENCE_SECONDS", 0.2)
    silent = serve(lambda server, client: time.sleep(2))
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    rig.publish(
        one_example=(b"call-ahead", {"next_hop": f"127.0.0.1:{silent.port}"}),
        two_example=(b"call-ahead", {"next_hop": f"127.0.0.1:{port}"}),
    )  # fmt: skip
    assert rig.ask(b"a@one.example", b"b@one.example", b"c@two.example") == [Word.TRY_LATER] * 3


def test_a_name_is_looked_up_and_must_not_lead_into_a_private_network(rig, serve):
    """Whoever relays to a machine of the house writes its address, which only the operator may."""
    server = serve(smtp({b"joe": b"250 ok"}))
    rig.publish(one_example=(b"call-ahead", {"next_hop": f"next.example:{server.port}"}))
    assert rig.ask(b"joe@one.example", names={(b"next.example", b"A"): (b"127.0.0.1",)}) == [Word.TRY_LATER]
    assert server.connections == 0
    assert rig.ask(b"jim@one.example", names={}) == [Word.TRY_LATER]


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        (Reply(250, b"2.1.5", b""), Word.ACCEPT), (Reply(251, b"", b""), Word.ACCEPT),
        (Reply(550, b"5.1.1", b""), Word.UNKNOWN), (Reply(550, b"", b""), Word.UNKNOWN),
        (Reply(550, b"5.2.1", b""), Word.UNKNOWN), (Reply(553, b"5.1.3", b""), Word.UNKNOWN),
        (Reply(552, b"5.2.2", b""), Word.FULL), (Reply(552, b"", b""), Word.FULL), (Reply(452, b"4.2.2", b""), Word.FULL),
        (Reply(450, b"", b""), Word.TRY_LATER), (Reply(550, b"5.7.1", b""), Word.TRY_LATER),
        (Reply(554, b"5.3.0", b""), Word.TRY_LATER),
    ],
)  # fmt: skip
def test_only_what_speaks_of_the_mailbox_is_a_no(reply, word):
    """A next hop that has something against us would otherwise lose all mail of the domain."""
    assert word_of(reply) is word


@pytest.mark.parametrize(
    ("key", "path"),
    [
        (b"joe@one.example", b"joe@one.example"), (b"j.o+e@one.example", b"j.o+e@one.example"),
        (b"joe smith@one.example", b'"joe smith"@one.example'), (b'a"b@one.example', b'"a\\"b"@one.example'),
        (b"a\\b@one.example", b'"a\\\\b"@one.example'), (b".a@one.example", b'".a"@one.example'),
        (b"a..b@one.example", b'"a..b"@one.example'), (b"a@b@one.example", b'"a@b"@one.example'),
        ("jörg@one.example".encode(), "jörg@one.example".encode()),
    ],
)  # fmt: skip
def test_an_address_key_is_quoted_where_it_must_be(key, path):
    """RFC 5321 4.1.2: the key has no quotes of its own."""
    assert written(key) == path


def test_an_address_with_control_characters_never_reaches_the_next_hop(rig, serve):
    """It could end the line and begin another command."""
    server = serve(smtp({}))
    rig.publish(one_example=(b"call-ahead", {"next_hop": f"127.0.0.1:{server.port}"}))
    assert rig.ask(b"a\r\nDATA@one.example") == [Word.TRY_LATER]
    assert server.connections == 0


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a.example:26", ("a.example", 26)),
        ("a.example", ("a.example", 25)),
        ("[::1]:26", ("::1", 26)),
        ("[::1]", ("::1", 25)),
    ],
)
def test_a_host_and_port_are_read(text, place):
    """As the control plane writes them."""
    assert split_host_port(text, 25) == place


# --- the hook --------------------------------------------------------------------------------------------------------


@pytest.fixture
def example(tmp_path):
    """The program of docs/examples, asked over its UNIX socket."""
    (tmp_path / "hooks").mkdir(exist_ok=True)
    where, listed = tmp_path / "hooks" / "mine", tmp_path / "recipients.txt"
    listed.write_text("joe@one.example\nann@one.example\n")
    program = [sys.executable, str(TREE / "docs/examples/recipient_hook.py"), str(where), str(listed)]
    process = subprocess.Popen(program)
    end = time.monotonic() + 10
    while not where.exists() and time.monotonic() < end:
        time.sleep(0.02)
    yield where, listed
    process.kill()
    process.wait()


def test_the_example_of_the_documentation_answers(rig, example):
    """Yes, no, many at once; and when its file is gone, neither yes nor no."""
    where, listed = example
    rig.publish(one_example=(b"hook", {"address": where}))
    assert rig.ask(b"joe@one.example", b"jim@one.example", b"ann@one.example") == [
        Word.ACCEPT, Word.UNKNOWN, Word.ACCEPT,
    ]  # fmt: skip
    listed.unlink()
    assert rig.ask(b"eve@one.example") == [Word.TRY_LATER]


@pytest.mark.parametrize(
    "said", [b"hello\n", b"99999:x", b"3:OK .", b"12:TEMP or never,", b"4:WHAT,", b":,", b"2:OK,2:OK,", b""]
)
def test_a_hook_that_says_anything_else_is_try_later(rig, serve, said):
    """No netstring, an unknown word, an answer to nothing; the first of two answers to one question still counts."""

    def script(server, client):
        client.recv(1000)
        client.sendall(said)

    server = serve(script)
    rig.publish(one_example=(b"hook", {"address": f"127.0.0.1:{server.port}"}))
    assert rig.ask(b"joe@one.example") == [Word.ACCEPT if said.startswith(b"2:OK,") else Word.TRY_LATER]


def test_a_hook_that_does_not_answer_is_given_up_and_called_again_later(rig, serve, monkeypatch):
    """Whoever waits is told so; the next address is asked over a new connection."""
    monkeypatch.setattr(hook, "PATIENCE_SECONDS", 0.2)

    def script(server, client):
        if server.connections > 1:
            client.recv(1000)
            client.sendall(b"3:OK ,")
        client.recv(1000)

    server = serve(script)
    rig.publish(one_example=(b"hook", {"address": f"127.0.0.1:{server.port}"}))
    assert rig.ask(b"joe@one.example") == [Word.TRY_LATER]
    assert rig.ask(b"jim@one.example") == [Word.ACCEPT]


def test_the_time_of_an_answered_question_is_not_taken_from_the_next_one_like_it(rig, monkeypatch):
    """The same address asked anew, after the memory of the first answer: it has all of its own time."""
    hears = []
    made = source_desk.Desk(
        rig.house.loop, Fixed(), Memory(lambda: now[0]), lambda _source: Backend(hears), lambda: now[0]
    )
    now, answers = [0.0], []
    timers = []
    monkeypatch.setattr(rig.house.loop, "call_later", lambda _seconds, callback: timers.append(callback))
    channel = SimpleNamespace(send=answers.append)
    made.peers = SimpleNamespace(event=lambda *_, **__: None)
    made.asked(channel, (m.Exists(1, b"joe@one.example"), ()))
    hears.pop()(Word.TRY_LATER)
    now[0] = SECONDS[Word.TRY_LATER] + 1.0
    made.asked(channel, (m.Exists(2, b"joe@one.example"), ()))
    timers[0]()
    assert [answer.tag for answer in answers] == [1]
    timers[1]()
    assert [answer.tag for answer in answers] == [1, 2]


class Fixed:
    """A snapshot with one source."""

    def refresh(self):
        return False

    def get(self, _key):
        return pack_record(Source(b"hook", (b"address", b"/x")))


class Backend:
    """Answers when the test does."""

    trouble = "none"

    def __init__(self, hears):
        self._hears = hears

    def ask(self, _address, hear):
        self._hears.append(hear)


@pytest.mark.parametrize("path", ["/etc/passwd", "/run/docker.sock", "{hooks}/../x", "{hooks}/..", "{hooks}/"])
def test_a_socket_elsewhere_is_not_called(rig, tmp_path, path):
    """Only what the operator put below hooks/."""
    rig.publish(one_example=(b"hook", {"address": path.format(hooks=tmp_path / "hooks")}))
    assert rig.ask(b"joe@one.example") == [Word.TRY_LATER]
