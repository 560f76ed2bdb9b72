"""What the two shells around `server` share: how long they wait, and how the core's events become messages of the house.

A reader would otherwise get wrong: this is not the core. A shell (a worker's session, a connection's cell) does the I/O and
keeps the time; here stands only what must not differ between them.
"""

import socket
from collections.abc import Iterator, Mapping
from typing import Final

from mta.smtp import events as e
from mta.smtp.server import Policy
from mta.vocabulary import Word
from mta.wire import messages as m

MANY_OCTETS: Final = 64 * 1024  # of input that waits for an answer; then the client must wait too
FEW_PACKETS: Final = 4  # that wait for a peer; beyond, its askers stop reading from their clients
LINGER_SECONDS: Final = 2.0  # how long we listen to a client we hung up on
DIRECTORY_SECONDS: Final = 10.0  # it looks into memory; whoever waits longer waits for a process that hangs
TLS_SECONDS: Final = 40.0  # the client has 30 for its handshake; tls ends those that take longer
AUTHENTICATOR_SECONDS: Final = 30.0  # it hashes, and lets who guesses wait; whoever waits longer waits in vain
ENQUEUER_SECONDS: Final = 300.0  # it waits for the disk. RFC 5321 4.5.3.2.6 lets the client wait 600
STOP_SECONDS: Final = 2.5  # to finish what is in hand; the supervisor allows 5 for the whole house

LOCAL: Final = (
    b"local"  # the service of programs on this machine: the kernel said whose they are, so they need no log-in
)
_UNIX, _INET, _INET6 = int(socket.AF_UNIX), int(socket.AF_INET), int(socket.AF_INET6)
IMPLICIT_TLS: Final = b"submissions"  # the service where a handshake comes before anything is said (RFC 8314 3.3)

NOBODY_KNOWS: Final = e.LoginAnswer(None)
TRY_LATER: Final = e.Verdict(Word.TRY_LATER)
_WORDS = {word.value: word for word in Word}
_NEITHER: Final = Word.TRY_LATER
_SLOW_DOWN: Final = Word.SLOW_DOWN


def policy(settings: Mapping[str, bytes], *, starttls: bool = False, submission: bool = False) -> Policy:
    """What the administrator's *settings* mean for a conversation that begins now; *starttls* as the tls role says it."""

    def number(name: str, default: int) -> int:
        value = settings.get(name)
        return default if value is None else int(value)

    command_seconds = float(number("limits.command_timeout_seconds", 300))
    return Policy(
        hostname=settings["host.name"],
        max_message_size=number("smtpd.max_message_size", Policy.max_message_size),
        max_recipients=number("limits.max_recipients", Policy.max_recipients),
        max_errors=number("limits.max_errors", Policy.max_errors),
        command_seconds=command_seconds,
        block_seconds=min(command_seconds, Policy.block_seconds),
        session_seconds=float(number("limits.session_timeout_seconds", 3600)),
        starttls=starttls,
        mechanisms=tuple(settings.get("submission.mechanisms", b"PLAIN LOGIN").split()) if submission else (),
    )


def family_of(accepted: m.Accepted) -> int:
    """Of the socket that came with *accepted*: with it said, a socket object needs to ask the kernel nothing."""
    if accepted.service == LOCAL:
        return _UNIX
    return _INET6 if b":" in accepted.client else _INET


def tarpit_seconds(settings: Mapping[str, bytes]) -> float:
    """How long a prober waits for the answer to each guess beyond the limit."""
    return float(settings.get("limits.tarpit_seconds", b"5"))


def question(tag: int, accepted: m.Accepted, event: e.Ask) -> m.Question:
    """*event* for the directory."""
    identity, expiry, ticket = event.login
    return m.Question(
        tag, accepted.session, accepted.client, accepted.token, event.reverse_path, event.forward_path, event.size,
        identity, ticket, expiry,
    )  # fmt: skip


def verdict(answer: m.Message | None) -> e.Verdict:
    """The directory's *answer* for the core; without one (it is away, or too slow) nobody knows."""
    if not isinstance(answer, m.Verdict):
        return TRY_LATER
    word = _WORDS.get(answer.word, _NEITHER)  # A word we do not know says neither yes nor no.
    return e.Verdict(word, answer.counted, answer.expiry, answer.ticket, answer.late, answer.detail)


def waits_first(found: e.Verdict) -> bool:
    """Is the tarpit due before the core hears *found*?

    A prober pays with time for each guess beyond the limit. Where the domain tells nothing before the content, waiting would.
    """
    return found.word is _SLOW_DOWN and not found.late


def offers(tag: int, accepted: m.Accepted, event: e.Offer) -> Iterator[m.Message]:
    """*event* for the enqueuer: the message with its first recipient, then the others."""
    first, *others = event.recipients
    identity, expiry, ticket = event.login
    yield m.Offer(
        tag, accepted.session, accepted.client, accepted.token, event.helo, event.protocol, event.options,
        event.reverse_path, first.forward_path, first.counted, first.expiry, first.ticket, first.options, event.tls,
        identity, ticket, expiry,
    )  # fmt: skip
    for each in others:
        yield m.OfferRecipient(tag, each.forward_path, each.counted, each.expiry, each.ticket, each.options)


def log_in(tag: int, accepted: m.Accepted, event: e.LogIn) -> m.LogIn:
    """*event* for the authenticator."""
    return m.LogIn(tag, accepted.session, accepted.client, accepted.token, event.name, event.secret)


def scram_begin(tag: int, accepted: m.Accepted, event: e.ScramBegin) -> m.ScramBegin:
    """*event* for the authenticator; what follows bears the same *tag*."""
    return m.ScramBegin(tag, accepted.session, accepted.client, accepted.token, event.first)


def login_answer(answer: m.Message | None) -> e.LoginAnswer:
    """The authenticator's *answer* for the core; without one (it is away, or too slow) nobody knows."""
    if not isinstance(answer, m.LoggedIn | m.ScramDone):
        return NOBODY_KNOWS
    if answer.word == b"right":
        final = answer.server_final if isinstance(answer, m.ScramDone) else b""
        return e.LoginAnswer(True, e.Login(answer.identity, answer.expiry, answer.ticket), final)
    return e.LoginAnswer(False) if answer.word == b"wrong" else NOBODY_KNOWS


def may_use(tag: int, accepted: m.Accepted, event: e.AskSender) -> m.MayUse:
    """*event* for the authenticator."""
    identity, expiry, ticket = event.login
    return m.MayUse(tag, accepted.session, identity, expiry, ticket, event.reverse_path)


def sender_answer(answer: m.Message | None) -> e.SenderAnswer:
    """The authenticator's *answer* for the core, likewise."""
    return e.SenderAnswer(answer.yes, answer.rule) if isinstance(answer, m.Using) else e.SenderAnswer(None)
