"""AUTH (RFC 4954): what a client says in each mechanism, as questions for the authenticator. Without I/O, like the core.

A reader would otherwise get wrong: nothing here knows whether a secret is right. A mechanism is read only as far as it takes
to tell who asks and with what; SCRAM (RFC 5802) passes through unread, since whoever computes it must hold the keys.

`MECHANISMS` is the table to add to; what OAUTHBEARER (RFC 7628) needs of it is there, and tests speak it (DECISIONS 48).
"""

import binascii
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from mta.smtp import events, replies
from mta.smtp.events import NOBODY, Event, LogIn, ScramBegin, ScramEnd
from mta.smtp.replies import Refused, Reply

MAX_AUTH_LINE: Final = 12_288  # octets with CRLF (RFC 4954 4)
MAX_AUTH_FAILURES: Final = 5  # wrong ones, before 421; clients try one password by several mechanisms
MAX_NAME: Final = 1000  # octets of what the authenticator is asked about; whoever says more has no such name
MAX_SECRET: Final = 1000
MAX_SCRAM: Final = 1000  # octets of one of its messages (RFC 5802 7)
CANCEL: Final = b"*"  # RFC 4954 4
_NO_INITIAL: Final = b"="  # RFC 4954 4: an initial response of no octets


class Challenge(NamedTuple):
    """The client shall answer this first."""

    text: bytes


Step = Challenge | LogIn | ScramBegin | ScramEnd


class Exchange(Protocol):
    """One log-in under way."""

    prompt: bytes  # the challenge for a client that sent no initial response

    def respond(self, response: bytes) -> Step:
        """The client's next *response*, decoded.

        Raises:
            Refused: it is not what the mechanism says, or longer than anything that could be right.
        """

    def abandon(self) -> list[Event]:
        """The client broke off; what the authenticator must hear of that."""


class Plain:
    """RFC 4616: [authorization identity] NUL name NUL password."""

    prompt = b""

    def respond(self, response: bytes) -> Step:
        """See `Exchange`."""
        parts = response.split(b"\0")
        if len(parts) != 3:
            raise Refused(replies.BAD_RESPONSE)
        acting_as, name, secret = parts
        if acting_as not in (b"", name):
            raise Refused(replies.WRONG_LOGIN)  # Nobody acts as another here.
        return _log_in(name, secret)

    def abandon(self) -> list[Event]:
        """See `Exchange`."""
        return []


class Login:
    """The name, then the password; never a standard, and what many clients try first."""

    prompt = b"Username:"

    def __init__(self) -> None:
        self._name: bytes | None = None

    def respond(self, response: bytes) -> Step:
        """See `Exchange`."""
        if self._name is None:
            self._name = response
            return Challenge(b"Password:")
        return _log_in(self._name, response)

    def abandon(self) -> list[Event]:
        """See `Exchange`."""
        return []


class Scram:
    """RFC 5802, 7677: two messages of the client, which the authenticator reads."""

    prompt = b""

    def __init__(self) -> None:
        self._begun = self._ended = False

    def respond(self, response: bytes) -> Step:
        """See `Exchange`."""
        if not response:
            raise Refused(replies.BAD_RESPONSE)
        if len(response) > MAX_SCRAM:
            raise Refused(replies.WRONG_LOGIN)
        if not self._begun:
            self._begun = True
            return ScramBegin(response)
        self._ended = True
        return ScramEnd(response)

    def abandon(self) -> list[Event]:
        """See `Exchange`."""
        return [ScramEnd(b"")] if self._begun and not self._ended else []


MECHANISMS: Final[dict[bytes, Callable[[], Exchange]]] = {
    b"PLAIN": Plain,
    b"LOGIN": Login,
    b"SCRAM-SHA-256": Scram,
}


class LogIns:
    """The log-ins that one client tries, one after the other; what each of its methods answers is what follows."""

    def __init__(self, offered: tuple[bytes, ...]) -> None:
        """*offered*: names of mechanisms."""
        self.login = NOBODY
        self._offered = offered
        self._refused = 0
        self._exchange: Exchange | None = None  # under way
        # What it comes to as soon as the client has taken the server's last word; `NOBODY`: wrong, and that says why.
        self._concluded: events.Login | None = None

    @property
    def too_many(self) -> bool:
        """Was it wrong so often that nobody wants to hear more?"""
        return self._refused >= MAX_AUTH_FAILURES

    def begin(self, argument: bytes) -> Step | Reply:
        """What stands behind AUTH: a mechanism, and perhaps the initial response."""
        name, _, initial = argument.partition(b" ")
        if not name:
            return replies.BAD_AUTH
        name = name.upper()
        begin = MECHANISMS.get(name) if name in self._offered else None
        if begin is None:
            return replies.NO_MECHANISM
        self._exchange = begin()
        return self.respond(initial) if initial else Challenge(self._exchange.prompt)

    def respond(self, line: bytes) -> Step | Reply:
        """The client's next line."""
        if self._concluded is NOBODY:
            return self._refuse()  # Whatever it says to that: it has to say something (RFC 7628 3.2.3).
        if line == CANCEL:
            return replies.CANCELLED
        try:
            response = decode(line)
            if self._concluded is None:
                assert self._exchange is not None
                return self._exchange.respond(response)
        except Refused as refused:
            self._refused += refused.reply is replies.WRONG_LOGIN
            return refused.reply
        if response:
            return replies.BAD_RESPONSE
        self.login = self._concluded
        return replies.LOGGED_IN

    def challenged(self, text: bytes) -> Step | Reply:
        """The authenticator wants *text* answered; out of turn, it means nothing that a client could be told."""
        in_turn = self._exchange is not None and self._exchange.abandon()
        return Challenge(text) if in_turn else replies.LOGIN_AWAY

    def answered(self, answer: events.LoginAnswer) -> Step | Reply:
        """What the authenticator knows; with that it is through with us."""
        self._exchange = None
        if answer.right is None:
            return replies.LOGIN_AWAY
        if answer.server_final:
            self._concluded = answer.login if answer.right else NOBODY
            return Challenge(answer.server_final)
        if not answer.right:
            return self._refuse()
        self.login = answer.login
        return replies.LOGGED_IN

    def end(self) -> list[Event]:
        """No log-in is under way any more; what the authenticator must hear of that."""
        exchange, self._exchange, self._concluded = self._exchange, None, None
        return [] if exchange is None else exchange.abandon()

    def _refuse(self) -> Reply:
        self._refused += 1
        return replies.WRONG_LOGIN


def decode(text: bytes) -> bytes:
    """A client's response as it meant it; `=` is the empty one.

    Raises:
        Refused: it is not base64 (RFC 4648 4).
    """
    if text == _NO_INITIAL:
        return b""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error as error:
        raise Refused(replies.NOT_BASE64) from error


def challenge(text: bytes) -> bytes:
    """The reply that asks for the next response (RFC 4954 4)."""
    return b"334 %b\r\n" % binascii.b2a_base64(text, newline=False)


def _log_in(name: bytes, secret: bytes) -> LogIn:
    if len(name) > MAX_NAME or len(secret) > MAX_SECRET:
        raise Refused(replies.WRONG_LOGIN)
    return LogIn(name, secret)
