"""Every *.dialog beside this file, against a live shell of each isolation with fake peers; and every reply is in one of them.

One line each:
    -> text          we send text and CRLF
    => text          we send text as it stands, with Python's escapes, nothing added
    =* N text        the same, N times
    <- prefix        the next line of the server begins so
    <* prefix        the next whole reply (perhaps many lines); its last line begins so
    <= N prefix      the next N lines begin so
    <|               the server closes the connection
    >|               we close our side and go on listening
    =taken N         so many messages were taken in this dialog
    =content text    the content of the last one, with Python's escapes
    =envelope K V    what was offered under that name
    =stop            the shell is told to stop
    =settings K V    with this setting; only before anything is said, and in a house of its own
    =with tls        in a house where somebody terminates TLS
    =with submission in one where users log in, and TLS comes by STARTTLS; with submissions, from the start
    =asked text      so the authenticator was asked last: what, the name, how many octets of secret
    =tls             we make the handshake
    =no tls          who terminates it is gone; so with the names of other roles
    =crowd N         so many others are connected before us
    =only ISOLATION  this isolation alone has anything to say here
    # words          why
"""

import ast
import contextlib
import re
import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import pytest

from mta.smtp import auth, replies
from mta.wire import messages as m
from tests.fakes.smtpd_house import SHELLS, SUBMISSION_SHELLS, SmtpdHouse, eventually
from tests.fixtures import certificates
from tests.fixtures.smtpd_house import reachable

DIALOGS = sorted(Path(__file__).parent.glob("*.dialog"))
SECONDS = 20.0  # a machine that runs all tests at once may leave a process waiting for its turn
Make = Callable[[str, "Script"], SmtpdHouse]


class Script:
    """A file, read."""

    def __init__(self, path: Path) -> None:
        self.lines = [
            (n, line) for n, line in enumerate(path.read_text().splitlines(), 1) if line.strip() and line[0] != "#"
        ]
        words = [line.split(" ", 2) for _, line in self.lines]
        self.settings = {each[1]: each[2] for each in words if each[0] == "=settings"}
        wanted = [each[1] for each in words if each[0] == "=with"]
        self.service = next((each for each in wanted if each.startswith("submission")), "smtp")
        shells = SHELLS if self.service == "smtp" else SUBMISSION_SHELLS
        self.shells = [each[1] for each in words if each[0] == "=only"] or list(shells)
        self.crowd = sum(int(each[1]) for each in words if each[0] == "=crowd")
        self.tls = bool(wanted)  # nobody logs in without
        self.spends_house = any(each[0] in {"=stop", "=no"} for each in words)


def octets(text: str) -> bytes:
    quoted = text.replace('"', '\\"')
    value = ast.literal_eval(f'b"{quoted}"')
    assert isinstance(value, bytes)
    return value


class Dialog:
    def __init__(self, house: SmtpdHouse, crowd: int) -> None:
        self.house = house
        self.before = len(house.messages())
        self.crowd = [socket.create_connection(("127.0.0.1", house.port), timeout=SECONDS) for _ in range(crowd)]
        for other in self.crowd:
            other.recv(1000)  # its greeting: it has its place
        self.client = socket.create_connection(("127.0.0.1", house.port), timeout=SECONDS)
        # Else half a line waits until the other side has acknowledged the first half.
        self.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server: BinaryIO = self.client.makefile("rb")

    def close(self) -> None:
        self.server.close()
        for each in (self.client, *self.crowd):
            each.close()

    def say(self, data: bytes) -> None:
        self.client.sendall(data)

    def expect(self, prefix: str, *, whole: bool = False) -> None:
        line = self.server.readline()
        while whole and line[3:4] == b"-":
            line = self.server.readline()
        assert line.endswith(b"\r\n"), f"{line!r} is no line, wanted {prefix!r}"
        assert line.startswith(prefix.encode()), f"{line!r}, wanted {prefix!r}"

    def expect_end(self) -> None:
        rest = self.server.read()
        assert rest == b"", f"{rest!r}, wanted the end"

    def begin_tls(self) -> None:
        self.server.close()
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.client = context.wrap_socket(self.client, server_hostname="mx.example.test")
        self.server = self.client.makefile("rb")

    def taken(self) -> list[tuple[dict[str, object], bytes]]:
        return self.house.messages()[self.before :]

    def check(self, what: str, rest: str) -> None:
        if what == "=taken":
            eventually(lambda: len(self.taken()) == int(rest), SECONDS)
        elif what == "=content":
            assert self.taken()[-1][1] == octets(rest)
        elif what == "=asked":
            eventually(lambda: self.house.log_ins()[-1:] == [rest], SECONDS)
        elif what == "=envelope":
            key, _, value = rest.partition(" ")
            assert self.taken()[-1][0][key] == ast.literal_eval(value)
        else:
            assert what in {"=settings", "=crowd", "=only", "=with"}, f"what is {what!r}?"

    def bereave(self, role: str) -> None:
        """It is gone, and nobody counts on it any more. Of others than `tls` each question shows that they are away."""
        tls = "tlsspawn" if "tlsspawn" in self.house.modules else "tls"
        self.house.kill(tls if role == "tls" else role)
        if role == "tls":
            eventually(lambda: refuses_tls(self.house), SECONDS)

    def obey(self, line: str) -> None:
        what, _, rest = line.partition(" ")
        if what == "->":
            self.say(rest.encode() + b"\r\n")
        elif what == "=>":
            self.say(octets(rest))
        elif what == "=*":
            count, _, text = rest.partition(" ")
            self.say(octets(text) * int(count))
        elif what in {"<-", "<*"}:
            self.expect(rest, whole=what == "<*")
        elif what == "<=":
            count, _, text = rest.partition(" ")
            for _ in range(int(count)):
                self.expect(text)
        elif what == "<|":
            self.expect_end()
        elif what == ">|":
            self.client.shutdown(socket.SHUT_WR)
        elif what == "=stop":
            self.house.controls[self.house.shell].send(m.Stop())
        elif what == "=no":
            self.bereave(rest)
        elif what == "=tls":
            self.begin_tls()
        else:
            self.check(what, rest)


def has_tls(house: SmtpdHouse) -> bool:
    if house.service == "submissions":
        context = ssl._create_unverified_context()
        with contextlib.suppress(OSError), smtplib.SMTP_SSL("127.0.0.1", house.port, timeout=SECONDS, context=context):
            return True
        return False
    with smtplib.SMTP("127.0.0.1", house.port, local_hostname="client.test", timeout=SECONDS) as client:
        client.ehlo()
        return client.has_extn("starttls")


def refuses_tls(house: SmtpdHouse) -> bool:
    """Whoever holds the conversations, or the cells' ends, has noticed by now that nobody is there for a handshake."""
    with smtplib.SMTP("127.0.0.1", house.port, local_hostname="client.test", timeout=SECONDS) as client:
        client.ehlo()
        return client.docmd("STARTTLS")[0] != 220


@pytest.fixture(scope="module")
def house_for(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """One house for each isolation and each set of settings, and a fresh one for a dialog that uses it up."""
    with ExitStack() as stack:
        made: dict[object, SmtpdHouse] = {}

        def make(isolation: str, script: Script) -> SmtpdHouse:
            key = (isolation, script.tls, script.service, *sorted(script.settings.items()))
            if script.spends_house or key not in made:
                folder = reachable(tmp_path_factory.mktemp("dialog"))
                if script.tls:
                    certificates.publish(folder, {"": certificates.make("mx.example.test")})
                house = stack.enter_context(
                    SmtpdHouse(folder, isolation, tls=script.tls, service=script.service, **script.settings)
                )
                if script.tls:
                    eventually(lambda: has_tls(house), SECONDS)
                if script.spends_house:
                    return house
                made[key] = house
            return made[key]

        yield make


@pytest.mark.parametrize("isolation", list(SHELLS))
@pytest.mark.parametrize("path", DIALOGS, ids=lambda path: path.stem)
def test_dialog(path: Path, isolation: str, house_for: Make) -> None:
    """The conversation goes as written, whichever shell holds it."""
    script = Script(path)
    if isolation not in script.shells:
        return
    dialog = Dialog(house_for(isolation, script), script.crowd)
    try:
        for number, line in script.lines:
            try:
                dialog.obey(line)
            except (AssertionError, OSError) as error:
                raise AssertionError(f"{path.name}:{number}: {line}: {error}") from error
    finally:
        dialog.close()


def test_there_are_many() -> None:
    """A glob that finds nothing would make the test above pass."""
    assert len(DIALOGS) >= 40


def test_every_dialog_says_why_and_expects_something() -> None:
    """A dialog without its reason, or without an expectation, proves nothing to its reader."""
    for path in DIALOGS:
        lines = path.read_text().splitlines()
        assert lines[0].startswith("# "), path.name
        assert sum(line.startswith(("<", "=taken")) for line in lines) >= 2, path.name


def every_reply() -> dict[str, str]:
    """Name to words of all that `replies` has; what it makes on demand by what it makes in the houses here."""
    named = {name: value for name, value in vars(replies).items() if isinstance(value, replies.Reply)}
    named |= {f"HELP_ON {topic.decode()}": reply for topic, reply in replies.HELP_ON.items()}
    said = {name: reply.octets for name, reply in named.items()}
    said["challenge"] = auth.challenge(b"")
    said |= {
        "greeting": replies.greeting(b"mx.example.test"),
        "hello": replies.hello(b"mx.example.test"),
        "queued": b"250 2.0.0 Queued as 0",
        "declined": b"452 4.3.1 No room on the disk",
        "in_words": b"550 5.7.1 In words of the directory's own",
    }
    for starttls, secured in ((False, False), (True, False), (True, True)):
        lines = replies.extended_hello(
            b"mx.example.test",
            1048576,
            100,
            starttls=starttls,
            secured=secured,
            mechanisms=(b"PLAIN", b"LOGIN", b"SCRAM-SHA-256"),
        )
        said |= {f"EHLO {line.decode()}": line for line in lines.splitlines()}
    return {name: words.decode().rstrip("\r\n") for name, words in said.items()}


# `fault` follows an error of ours, which no client can bring about: tests/mta/shells/test_session.py has it.
@pytest.mark.parametrize(("name", "words"), every_reply().items())
def test_every_reply_is_in_a_dialog(name: str, words: str) -> None:
    """Word for word; a reply that no dialog draws out is one that nobody knows how to get, or that nobody can get."""
    expected = [
        re.sub(r"^<[-*] |^<= \d+ ", "", line) for path in DIALOGS for _, line in Script(path).lines if line[0] == "<"
    ]
    assert any(each.startswith(words) for each in expected), f"{name}: {words}"
