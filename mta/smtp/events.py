"""What passes between the session core (`server`) and whoever drives it: events out, verdicts in.

A reader would otherwise get wrong: the order of the events in a list is the order to carry them out in, and `Send` comes
once, behind everything else but `StartTls` and `HangUp`.
"""

from typing import Final, NamedTuple

from mta.vocabulary import Word

# --- what comes out ------------------------------------------------------------------------------------------------


class Send(NamedTuple):
    """Replies for the client."""

    octets: bytes


class Login(NamedTuple):
    """Who logged in, and the authenticator's proof of it; empty: nobody did."""

    identity: bytes = b""
    expiry: int = 0
    ticket: bytes = b""


NOBODY: Final = Login()


class Ask(NamedTuple):
    """A question to the directory; answer with `verdict` and the same number."""

    number: int
    reverse_path: bytes
    forward_path: bytes
    size: int
    login: Login = NOBODY


class LogIn(NamedTuple):
    """A question to the authenticator; answer with `logged_in`. Kept nowhere: it has a password in it."""

    name: bytes
    secret: bytes


class ScramBegin(NamedTuple):
    """The first message of SCRAM-SHA-256, for the authenticator; answer with `challenged`, or with `logged_in`."""

    first: bytes


class ScramEnd(NamedTuple):
    """The last message of what `ScramBegin` began; answer with `logged_in`. Empty: the client broke off, no answer."""

    final: bytes


class AskSender(NamedTuple):
    """A question to the authenticator: may who logged in write from here? Answer with `sender_judged`."""

    reverse_path: bytes
    login: Login


class Recipient(NamedTuple):
    """An accepted forward-path with what proves to the enqueuer that yes was said."""

    forward_path: bytes
    counted: bytes
    expiry: int
    ticket: bytes
    options: bytes = b""  # NOTIFY and ORCPT as given (RFC 3461 4), space-separated KEY=value


class Offer(NamedTuple):
    """A message begins, for the enqueuer; its `Block` events follow."""

    helo: bytes
    protocol: bytes
    options: bytes
    reverse_path: bytes
    recipients: tuple[Recipient, ...]
    tls: bytes = b""  # version and cipher, empty without TLS
    login: Login = NOBODY


class Block(NamedTuple):
    """Content with CRLF and without dot-stuffing. After the last one answer with `taken` or `declined`."""

    octets: bytes
    last: bool


class Withdraw(NamedTuple):
    """What was offered will not be finished."""


class StartTls(NamedTuple):
    """The client was told to begin TLS: hand its socket over, then answer with `secured`, or with `lost`.

    Not one octet of it may be read after this, or before that: whoever spoke in the clear is not who speaks then.
    """


class Note(NamedTuple):
    """A decision worth a line in the journal."""

    name: str
    pairs: dict[str, bytes | int]


class HangUp(NamedTuple):
    """Close the connection when everything before was sent. Always the last event.

    With `unasked` the client may be in the middle of saying something: closing on it makes the kernel answer with a reset,
    which can overtake our last reply. So listen to it for a moment longer.
    """

    unasked: bool


Event = (
    Send | Ask | Offer | Block | Withdraw | StartTls | Note | HangUp | LogIn | ScramBegin | ScramEnd | AskSender
)  # fmt: skip


# --- what goes in --------------------------------------------------------------------------------------------------


class Verdict(NamedTuple):
    """The directory's answer to an `Ask`."""

    word: Word
    counted: bytes = b""
    expiry: int = 0
    ticket: bytes = b""
    late: bool = False  # told after the content, a yes as much as a no
    detail: bytes = b""  # words for the client instead of the usual ones


class LoginAnswer(NamedTuple):
    """The authenticator's answer to a `LogIn` or `ScramEnd`."""

    right: bool | None  # None: nobody can tell at the moment
    login: Login = NOBODY
    # The mechanism's last word, for the client: that of SCRAM, without which it does not believe us; or why it is wrong.
    server_final: bytes = b""


class SenderAnswer(NamedTuple):
    """The authenticator's answer to an `AskSender`."""

    yes: bool | None  # None: nobody can tell at the moment
    rule: bytes = b""  # words for the client
