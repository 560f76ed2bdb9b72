"""Log-ins over SMTP, and as whom one may write then: what submissiond and submitter ask.

A reader would otherwise get wrong: `wrong` is one answer for all causes, and comes at one of a few moments (`patience.due`)
whatever was wrong and whether it was looked at or not. `later` says nothing about a name either: it is said before one is
looked up.

A conversation has one log-in under way, so one session has one here: who took a conversation over cannot keep others out.
"""

import os
import time
from collections import Counter, OrderedDict
from collections.abc import Callable

from mta import scram
from mta.record import dataclass
from mta.roles.authenticator import exchange, judge
from mta.roles.authenticator.credentials import Credentials
from mta.roles.authenticator.exchange import Begun, ExchangeError
from mta.roles.authenticator.hashers import Hashers, Outcome, Task
from mta.roles.authenticator.judge import Credential
from mta.roles.authenticator.patience import Guesses, due
from mta.roles.authenticator.renewal import Renewal
from mta.scram import Keys
from mta.wire import messages as m
from mta.wire import tickets
from mta.wire.channel import Channel, ChannelClosed, Packet
from mta.wire.loop import Loop

MAX_EXCHANGES = 2000  # begun and not ended; for another, whoever has begun most loses his oldest
EXCHANGE_SECONDS = 120.0  # within which a client has to answer the challenge; RFC 4954 4 leaves it to us
MAX_DELAYED = 5000  # wrong answers on their way; beyond, everybody is told to come later
NOBODY = Keys(os.urandom(32), os.urandom(32))

RIGHT, WRONG, LATER = b"right", b"wrong", b"later"


@dataclass(frozen=True, slots=True)
class Secrets:
    """The keys by which this role says who logged in, and believes whose session it is."""

    ticket: bytes
    session: bytes


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One log-in: who asks, and how he is answered."""

    session: bytes
    client: bytes
    identity: bytes
    name: bytes
    begun: float  # on the loop's clock
    say: Callable[[bytes, bytes, bytes, int, bytes], None]  # word, server-final-message, identity, expiry, ticket


@dataclass(frozen=True, slots=True)
class _Exchange:
    """A SCRAM exchange whose challenge is with the client."""

    began: m.ScramBegin
    begun: Begun
    identity: bytes
    until: float


_Key = tuple[Channel, int]  # whose exchange it is, and under which tag


class Logins:
    """Answers from *credentials*. *clock* counts seconds, *now* those since 1970."""

    def __init__(
        self, loop: Loop, credentials: Credentials, hashers: Hashers, guesses: Guesses, secrets: Secrets, renewal: Renewal,
        clock: Callable[[], float] = time.monotonic, now: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._loop, self._credentials, self._hashers, self._guesses = loop, credentials, hashers, guesses
        self._secrets, self._renewal, self._clock, self._now = secrets, renewal, clock, now
        self._exchanges: OrderedDict[_Key, _Exchange] = OrderedDict()
        self._exchange_of: dict[bytes, _Key] = {}  # by session
        self._under_way: set[bytes] = set()  # sessions whose log-in is being judged
        self._delayed = 0

    def asked(self, channel: Channel, packet: Packet) -> None:
        """Whatever submissiond or submitter says."""
        match packet[0]:
            case m.LogIn() as question:
                self._log_in(channel, question)
            case m.ScramBegin() as question:
                self._begin(channel, question)
            case m.ScramEnd() as question:
                self._end(channel, question)
            case m.MayUse() as question:
                self._may_use(channel, question)
            case _:
                channel.close()

    def lost(self, channel: Channel) -> None:
        """It ended: nobody is there to answer its challenges."""
        for key in [key for key in self._exchanges if key[0] is channel]:
            self._end_exchange(key)

    # --- a name and a secret (RFC 4616)

    def _log_in(self, channel: Channel, question: m.LogIn) -> None:
        def say(word: bytes, _: bytes, identity: bytes, expiry: int, ticket: bytes) -> None:
            _tell(channel, m.LoggedIn(question.tag, word, identity, expiry, ticket))

        if not self._is_ready(question.session, question.client, question.token) or self._hashers.is_full:
            say(LATER, b"", b"", 0, b"")
            return
        self._under_way.add(question.session)
        attempt = self._attempt(question.session, question.client, question.name, say)
        if self._guesses.is_refused(attempt.identity, attempt.client):
            self._wrong(attempt, question.secret, looked=False)
            return
        identity, secret = attempt.identity, question.secret
        apps = self._credentials.open(lambda get, opener: judge.app_passwords_of(identity, get, opener)) or []
        shown = judge.shown_app_password(secret, apps)
        if shown is not None:
            self._right(attempt, b"", "app password", shown)
            return
        own = self._credentials.open(lambda get, opener: judge.sending_password_of(identity, get, opener))

        def hear(outcome: Outcome) -> None:
            if own is None or not outcome.fits:
                self._wrong(attempt, secret)
                return
            if outcome.better:
                self._renewal.renew(identity, outcome.better)
            self._right(attempt, b"", "password", own)

        salt = scram.salt_of(self._credentials.public_key, identity)
        self._hashers.check(Task(own.content if own else None, secret, salt), hear)

    # --- SCRAM (RFC 5802)

    def _begin(self, channel: Channel, question: m.ScramBegin) -> None:
        key = channel, question.tag
        if not self._is_ready(question.session, question.client, question.token) or key in self._exchanges:
            _tell(channel, m.ScramDone(question.tag, LATER, b"", b"", 0, b""))
            return
        try:
            name = exchange.read_name(question.first)
            identity = self._identity_of(name)
            salt = scram.salt_of(self._credentials.public_key, identity)
            begun = exchange.begin(question.first, os.urandom(exchange.NONCE_OCTETS), salt)
        except ExchangeError:
            _tell(channel, m.ScramDone(question.tag, WRONG, b"", b"", 0, b""))  # Said by no client that has a secret.
            return
        self._end_exchange(self._exchange_of.get(question.session))
        self._exchange_of[question.session] = key
        self._exchanges[key] = _Exchange(question, begun, identity, self._clock() + EXCHANGE_SECONDS)
        if len(self._exchanges) > MAX_EXCHANGES:
            ((greediest, _),) = Counter(channel for channel, _ in self._exchanges).most_common(1)
            self._end_exchange(next(key for key in self._exchanges if key[0] is greediest))
        _tell(channel, m.ScramChallenge(question.tag, begun.server_first))

    def _end_exchange(self, key: _Key | None) -> _Exchange | None:
        ended = self._exchanges.pop(key, None) if key else None
        if ended is not None and self._exchange_of.get(ended.began.session) == key:
            del self._exchange_of[ended.began.session]
        return ended

    def _end(self, channel: Channel, question: m.ScramEnd) -> None:
        def say(word: bytes, final: bytes, identity: bytes, expiry: int, ticket: bytes) -> None:
            _tell(channel, m.ScramDone(question.tag, word, final, identity, expiry, ticket))

        going = self._end_exchange((channel, question.tag))
        if not question.final:
            return
        if (
            going is None
            or going.until < self._clock()
            or going.began.session in self._under_way
            or not self._credentials.refresh()
        ):
            say(LATER, b"", b"", 0, b"")
            return
        self._under_way.add(going.began.session)
        began, identity = going.began, going.identity
        attempt = _Attempt(began.session, began.client, identity, going.begun.name, self._clock(), say)
        if self._guesses.is_refused(identity, began.client):
            self._wrong(attempt, question.final, looked=False)
            return
        known = self._keys_of(identity)
        proven = exchange.finish(going.begun, question.final, [NOBODY, *(keys for keys, _ in known)])
        credential = next((each for keys, each in known if proven is not None and keys is proven[1]), None)
        if proven is None or credential is None:
            # Each proof is another, so each counts; a program with an old password is better off with PLAIN here.
            self._wrong(attempt, question.final)
        else:
            self._right(attempt, proven[0], "scram", credential)

    def _keys_of(self, identity: bytes) -> list[tuple[Keys, Credential]]:
        own = self._credentials.open(lambda get, opener: judge.sending_password_of(identity, get, opener))
        apps = self._credentials.open(lambda get, opener: judge.app_passwords_of(identity, get, opener)) or []
        return judge.keys_of([*apps, own] if own is not None else apps)

    # --- as whom

    def _may_use(self, channel: Channel, question: m.MayUse) -> None:
        now = int(self._now())
        if not tickets.login_ticket_holds(
            self._secrets.ticket, question.ticket, question.session, question.identity, question.expiry, now
        ):
            self._credentials.peers.event("login-ticket-refused", session=question.session, login=question.identity)
            _tell(channel, m.Using(question.tag, False, b"you are not logged in any more", 0, b""))
            return
        self._credentials.refresh()
        found = self._credentials.look(lambda get: judge.may_use(question.identity, question.address, get))
        yes, rule = found or (False, b"nobody can tell now")
        if yes and not self._is_good_still(question):
            yes, rule = False, b"the password that you logged in with was changed or revoked; log in again"
        until = min(question.expiry, now + tickets.SENDER_SECONDS) if yes else 0
        proof = b""
        if yes:
            key, session = self._secrets.ticket, question.session
            proof = tickets.sender_ticket(key, session, question.identity, question.address, until)
        _tell(channel, m.Using(question.tag, yes, rule, until, proof))

    def _is_good_still(self, question: m.MayUse) -> bool:
        """Is the password still there by which this log-in came, or the same one with a better hash?"""
        shown = tickets.credential_of(question.ticket)
        names = self._credentials.look(lambda get: judge.credential_names(question.identity, get)) or []
        return any(name == shown or self._renewal.is_same(question.identity, shown, name) for name in names)

    # --- what is common to all

    def _is_ready(self, session: bytes, client: bytes, token: bytes) -> bool:
        """Is it the session of that client, with no other log-in under way, and is there anything to look in?"""
        holds = tickets.session_token_holds(self._secrets.session, token, session, client)
        if not holds or tickets.is_session_over(session, self._now()):
            self._credentials.peers.event("token-refused", session=session, client=client)
            return False
        if session in self._under_way:
            return False
        return self._credentials.refresh() and self._delayed < MAX_DELAYED

    def _attempt(
        self, session: bytes, client: bytes, name: bytes, say: Callable[[bytes, bytes, bytes, int, bytes], None]
    ) -> _Attempt:  # fmt: skip
        return _Attempt(session, client, self._identity_of(name), name, self._clock(), say)

    def _identity_of(self, name: bytes) -> bytes:
        # What is no address is nobody's; under its own name it is counted, salted and refused as all others.
        return self._credentials.look(lambda get: judge.identity_of(name, get)) or name

    def _right(self, attempt: _Attempt, final: bytes, how: str, by: Credential) -> None:
        self._under_way.discard(attempt.session)
        expiry = int(self._now()) + tickets.LOGIN_SECONDS
        ticket = tickets.login_ticket(self._secrets.ticket, attempt.session, attempt.identity, expiry, by.name)
        self._guesses.right(attempt.identity, attempt.client)
        self._renewal.shown(attempt.identity, by.name, self._clock())
        self._credentials.peers.event(
            "logged-in", session=attempt.session, client=attempt.client, login=attempt.identity, how=how
        )
        attempt.say(RIGHT, final, attempt.identity, expiry, ticket)

    def _wrong(self, attempt: _Attempt, secret: bytes, *, looked: bool = True) -> None:
        guesses = self._guesses
        delay = guesses.wrong(attempt.identity, attempt.client, secret) if looked else guesses.delay(attempt.identity)
        self._credentials.peers.event(
            "login-refused", scope=b"smtp", login=attempt.name, session=attempt.session, client=attempt.client
        )
        now = self._clock()
        self._delayed += 1

        def answer() -> None:
            self._delayed -= 1
            self._under_way.discard(attempt.session)
            attempt.say(WRONG, b"", b"", 0, b"")

        self._loop.call_later(due(attempt.begun, delay, now) - now, answer)


def _tell(channel: Channel, message: m.Message) -> None:
    """Say it; who asked may be gone by now."""
    try:
        channel.send(message)
    except ChannelClosed:
        return
