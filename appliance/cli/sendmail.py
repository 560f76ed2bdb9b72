"""`postern sendmail`, also `postern-sendmail`: what programs on this machine call to send mail, with sendmail's own options.

A reader would otherwise get wrong: all of this runs as whoever calls it, with no right that he has not. The message is read,
mended (RFC 6409 8) and its header searched for recipients here; what is handed over is one ordinary SMTP conversation, over a
socket where the kernel says whose program it is. Exit codes are those of sysexits.h, as callers of sendmail expect them.
"""

import getpass
import os
import pwd
import re
import smtplib
import socket
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.utils import formatdate, getaddresses, make_msgid, quote
from pathlib import Path
from typing import BinaryIO, Final

from appliance.config import find_settings
from appliance.errors import ApplianceError
from appliance.supervisor.plan import INJECT

MAX_MESSAGE: Final = 1 << 30  # octets; what this host takes is less, and it says so
SECONDS: Final = 600.0  # RFC 5321 4.5.3.2.6, the longest of a client's waits
# sysexits.h
OK, USAGE, DATA, NO_USER, UNAVAILABLE, TRY_LATER = 0, 64, 65, 67, 69, 75

_WITH_VALUE: Final = frozenset(
    "BCFNRVXfhrpq"
)  # of sendmail's options, those that take one; of most of them we need nothing
_LINE_END = re.compile(rb"\r\n|\r|\n")
_FIELD = re.compile(rb"[!-9;-~]+[ \t]*:")  # RFC 5322 2.2
_CONTROL = re.compile(r"[\0-\x1f\x7f]")
_DOT_LINE = re.compile(rb"^\.\r\n", re.MULTILINE)
# A field that names one user of this machine, as cron writes it: `root (Cron Daemon)`, or `Cron <root>`.
_LONE_USER = re.compile(rb"([ \t]*)([A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+)([ \t]*(?:\([^()\\]*\))?[ \t]*\r\n)\Z")
_NAMED_USER = re.compile(rb"<([A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+)>([ \t]*\r\n)\Z")
_QUALIFIED: Final = frozenset({"from", "sender", "reply-to", "to", "cc"})
_RECIPIENTS: Final = ("to", "cc", "bcc")
_HIDDEN: Final = frozenset({"bcc", "resent-bcc"})


class Refused(Exception):
    """Nothing was sent; the exit code, and why."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


@dataclass(slots=True)
class Wanted:
    """What the arguments say."""

    recipients: list[str] = field(default_factory=list)
    sender: str | None = None
    name: str = ""
    from_header: bool = False  # -t
    dot_ends: bool = True  # without -i
    options: dict[str, str] = field(default_factory=dict)  # N, R, V: notifications (RFC 3461)
    verb: str = "m"  # of -b


def sendmail(arguments: Sequence[str], config: str | None = None) -> int:
    """Send what stands on standard input; the exit code."""
    try:
        wanted = read_arguments(arguments)
        if wanted.verb == "i":  # newaliases: there is nothing to rebuild
            return OK
        if wanted.verb != "m":
            raise Refused(USAGE, f"-b{wanted.verb} is not for this program")
        place, host = find_house(config)
        content = mend(read_content(sys.stdin.buffer, dot_ends=wanted.dot_ends), wanted, host)
        recipients = [_with_domain(each, host) for each in wanted.recipients]
        if wanted.from_header:
            recipients += [_with_domain(each, host) for each in recipients_of(content)]
        if not recipients:
            raise Refused(USAGE, "no recipients: name them, or say -t and have them in the header")
        hand_over(place, host, wanted, list(dict.fromkeys(recipients)), without_hidden(content))
    except Refused as refused:
        sys.stderr.write(f"postern sendmail: {refused}\n")
        return refused.code
    return OK


def main() -> int:
    """`postern-sendmail`."""
    return sendmail(sys.argv[1:])


def read_arguments(arguments: Sequence[str]) -> Wanted:
    """Sendmail's options, as far as they mean anything here.

    Raises:
        Refused: an option without its value; an argument of several lines, which would make header fields or commands of them.
    """
    if any(map(_CONTROL.search, arguments)):
        raise Refused(USAGE, "an argument has a line end or another control character in it")
    wanted, rest = Wanted(), list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            wanted.recipients += rest
            break
        if len(argument) < 2 or argument[0] != "-":
            wanted.recipients.append(argument)
            continue
        letter, value = argument[1], argument[2:]
        if letter in _WITH_VALUE and not value and letter != "q":
            if not rest:
                raise Refused(USAGE, f"-{letter} takes a value")
            value = rest.pop(0)
        _heed(wanted, letter, value)
    return wanted


def _heed(wanted: Wanted, letter: str, value: str) -> None:
    if letter in "fr":
        wanted.sender = value
    elif letter == "F":
        wanted.name = value
    elif letter == "i" or (letter == "o" and value == "i"):
        wanted.dot_ends = False
    elif letter in "NRV":
        wanted.options[letter] = value
    elif letter == "b":
        wanted.verb = value
    elif letter == "t":
        wanted.from_header = True
        wanted.dot_ends = wanted.dot_ends and "i" not in value  # -ti


def find_house(config: str | None) -> tuple[Path, str]:
    """The socket to hand mail to, and the host's name.

    Raises:
        Refused: there is no settings file that this user may read.
    """
    try:
        file = find_settings(config)
        host = tomllib.loads(file.read_text())["host"]
        return file.parent / host.get("state", "var") / INJECT, str(host["name"])
    except (ApplianceError, OSError, tomllib.TOMLDecodeError, KeyError, AttributeError) as error:
        raise Refused(TRY_LATER, f"cannot tell where to hand it: {error}") from error


def read_content(stream: BinaryIO, *, dot_ends: bool) -> bytes:
    """The message on *stream*, with CRLF; with *dot_ends* a line with a dot alone ends it.

    Raises:
        Refused: it is longer than any that is taken.
    """
    octets = stream.read(MAX_MESSAGE + 1)
    if len(octets) > MAX_MESSAGE:
        raise Refused(DATA, "the message is too large")
    content = _LINE_END.sub(b"\r\n", octets)
    if content and not content.endswith(b"\r\n"):
        content += b"\r\n"
    if dot_ends:
        end = _DOT_LINE.search(content)
        content = content if end is None else content[: end.start()]
    return content


# --- the message -------------------------------------------------------------------------------------------------------


def split(content: bytes) -> tuple[list[tuple[str, bytes]], bytes]:
    """The header fields of *content*, each as its name in lower case and all its octets, and what comes behind them."""
    fields: list[tuple[str, bytes]] = []
    position = 0
    while position < len(content):
        end = content.index(b"\r\n", position) + 2
        line = content[position:end]
        if line[:1] in (b" ", b"\t") and fields:
            fields[-1] = (fields[-1][0], fields[-1][1] + line)
        elif _FIELD.match(line):
            fields.append((line.partition(b":")[0].strip().decode("ascii").lower(), line))
        else:
            break
        position = end
    body = content[position:]
    return fields, body.removeprefix(b"\r\n")


def mend(content: bytes, wanted: Wanted, host: str) -> bytes:
    """*content* with the fields that RFC 5322 3.6 asks for and RFC 6409 8 lets us add, and this host behind a user's bare name."""
    fields, body = split(content)
    fields = [(name, _qualified(octets, host) if name in _QUALIFIED else octets) for name, octets in fields]
    there = {name for name, _ in fields}
    added = []
    if "from" not in there:
        name = wanted.name or _full_name()
        address = wanted.sender or _user(host)
        added.append(f'From: "{quote(name)}" <{address}>' if name else f"From: {address}")
    if "date" not in there:
        added.append(f"Date: {formatdate(localtime=True)}")
    if "message-id" not in there:
        added.append(f"Message-ID: {make_msgid(domain=host)}")
    lines = b"".join(line.encode() + b"\r\n" for line in added)
    return b"".join(octets for _, octets in fields) + lines + b"\r\n" + body


def _qualified(octets: bytes, host: str) -> bytes:
    name, colon, body = octets.partition(b":")
    domain = host.encode()
    body = _LONE_USER.sub(rb"\1\2@" + domain + rb"\3", body) if _LONE_USER.match(body) else body
    return name + colon + _NAMED_USER.sub(rb"<\1@" + domain + rb">\2", body)


def recipients_of(content: bytes) -> list[str]:
    """Everybody whom the header names as a recipient; where it was sent again, those of the last time (RFC 5322 3.6.6).

    Raises:
        Refused: a field is no list of addresses.
    """
    fields, _ = split(content)
    again = [f"resent-{name}" for name in _RECIPIENTS]
    names = again if any(name in again for name, _ in fields) else list(_RECIPIENTS)
    values = [octets.partition(b":")[2].decode("utf-8", "surrogateescape") for name, octets in fields if name in names]
    unfolded = [value.replace("\r\n", "") for value in values]
    found = [address for _, address in getaddresses(unfolded)]
    if any(value.strip() for value in unfolded) and not all(found):
        raise Refused(DATA, "a field with recipients cannot be read")
    return found


def without_hidden(content: bytes) -> bytes:
    """*content* without the fields that are nobody's business but the sender's (RFC 5322 3.6.3)."""
    fields, body = split(content)
    return b"".join(octets for name, octets in fields if name not in _HIDDEN) + b"\r\n" + body


def _with_domain(address: str, host: str) -> str:
    return address if "@" in address else f"{address}@{host}"


def _user(host: str) -> str:
    try:
        return f"{getpass.getuser()}@{host}"
    except KeyError:
        return f"uid-{os.getuid()}@{host}"  # A uid without a name, as in containers.


def _full_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_gecos.partition(",")[0]
    except KeyError:
        return ""  # A uid without a name, as in containers.


# --- the conversation --------------------------------------------------------------------------------------------------


class _Local(smtplib.SMTP):
    """SMTP over a socket in the file system."""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:  # noqa: ARG002 - smtplib gives both
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        sock.connect(host)
        return sock


def hand_over(place: Path, host: str, wanted: Wanted, recipients: list[str], content: bytes) -> None:
    """Send *content* to all of *recipients*, or to none.

    Raises:
        Refused: it was not taken.
    """
    sender = _user(host) if wanted.sender is None else wanted.sender.strip("<>")
    try:
        with _Local(timeout=SECONDS, local_hostname=host) as smtp:
            smtp.connect(str(place), 0)
            smtp.ehlo()
            _expect(smtp.mail(sender, _of_mail(wanted, content, [sender, *recipients])), "the sender is refused")
            refused = {each: smtp.rcpt(each, _of_rcpt(wanted)) for each in recipients}
            for recipient, reply in refused.items():
                _expect(reply, f"{recipient} is refused, so nothing was sent", NO_USER)
            _expect(smtp.data(content), "the message is refused")
    except (OSError, smtplib.SMTPException) as error:
        raise Refused(TRY_LATER, f"mail cannot be handed over now: {error}") from error
    except UnicodeEncodeError as error:
        raise Refused(DATA, "an address beyond ASCII that this server does not take") from error


def _of_mail(wanted: Wanted, content: bytes, addresses: list[str]) -> list[str]:
    options = [] if content.isascii() else ["BODY=8BITMIME"]
    options += [] if all(map(str.isascii, addresses)) else ["SMTPUTF8"]
    options += [f"RET={wanted.options['R'].upper()}"] if "R" in wanted.options else []
    return options + ([f"ENVID={wanted.options['V']}"] if "V" in wanted.options else [])


def _of_rcpt(wanted: Wanted) -> list[str]:
    return [f"NOTIFY={wanted.options['N'].upper()}"] if "N" in wanted.options else []


def _expect(reply: tuple[int, bytes], trouble: str, code: int = UNAVAILABLE) -> None:
    """Is *reply* a yes?

    Raises:
        Refused: it is none.
    """
    number, words = reply
    if number >= 400:
        permanent = code if number >= 500 else TRY_LATER
        raise Refused(permanent, f"{trouble}: {number} {words.decode('ascii', 'replace')}")


if __name__ == "__main__":
    sys.exit(main())
