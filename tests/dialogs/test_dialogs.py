"""Every *.dialog beside this file, against a live smtpd process with fake peers.

One line each:
    -> text          we send text and CRLF
    => text          we send text as it stands, with Python's escapes, nothing added
    =* N text        the same, N times
    <- prefix        the next line of the server begins so
    <* prefix        the next whole reply (perhaps many lines); its last line begins so
    <|               the server closes the connection
    >|               we close our side and go on listening
    =taken N         so many messages were taken in this dialog
    =content text    the content of the last one, with Python's escapes
    =envelope K V    what was offered under that name
    # words          why
"""

import ast
import socket
from pathlib import Path
from typing import BinaryIO

import pytest

from tests.fakes.smtpd_house import SmtpdHouse, eventually

DIALOGS = sorted(Path(__file__).parent.glob("*.dialog"))
SECONDS = 5.0


def octets(text: str) -> bytes:
    quoted = text.replace('"', '\\"')
    value = ast.literal_eval(f'b"{quoted}"')
    assert isinstance(value, bytes)
    return value


class Dialog:
    def __init__(self, house: SmtpdHouse) -> None:
        self.house = house
        self.before = len(house.messages())
        self.client = socket.create_connection(("127.0.0.1", house.port), timeout=SECONDS)
        self.server: BinaryIO = self.client.makefile("rb")

    def close(self) -> None:
        self.server.close()
        self.client.close()

    def say(self, data: bytes) -> None:
        self.client.sendall(data)

    def expect(self, prefix: str, *, whole: bool) -> None:
        line = self.server.readline()
        while whole and line[3:4] == b"-":
            line = self.server.readline()
        assert line.endswith(b"\r\n"), f"{line!r} is no line, wanted {prefix!r}"
        assert line.startswith(prefix.encode()), f"{line!r}, wanted {prefix!r}"

    def expect_end(self) -> None:
        rest = self.server.read()
        assert rest == b"", f"{rest!r}, wanted the end"

    def taken(self) -> list[tuple[dict[str, object], bytes]]:
        return self.house.messages()[self.before :]

    def check(self, what: str, rest: str) -> None:
        if what == "=taken":
            eventually(lambda: len(self.taken()) == int(rest), SECONDS)
        elif what == "=content":
            assert self.taken()[-1][1] == octets(rest)
        elif what == "=envelope":
            key, _, value = rest.partition(" ")
            assert self.taken()[-1][0][key] == ast.literal_eval(value)
        else:
            pytest.fail(f"what is {what!r}?")

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
        elif what == "<|":
            self.expect_end()
        elif what == ">|":
            self.client.shutdown(socket.SHUT_WR)
        else:
            self.check(what, rest)


@pytest.mark.parametrize("path", DIALOGS, ids=lambda path: path.stem)
def test_dialog(path: Path, shared_shell: SmtpdHouse) -> None:
    """The conversation goes as written, whichever shell holds it."""
    dialog = Dialog(shared_shell)
    try:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
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
