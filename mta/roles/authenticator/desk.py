"""Questions of web, answered in their time: accounts, mailbox owners in the panel, API keys, codes of authenticator apps.

A reader would otherwise get wrong: app passwords are not for people. Only who sends mail by a program shows one (`logins`).
"""

import time
from collections.abc import Callable

from mta import scram
from mta.roles.authenticator import judge
from mta.roles.authenticator.codes import Codes
from mta.roles.authenticator.credentials import Credentials
from mta.roles.authenticator.hashers import Hashers, Outcome, Task
from mta.roles.authenticator.patience import Patience, due
from mta.seal import NotOpened
from mta.wire import messages as m
from mta.wire.channel import Channel, ChannelClosed, Packet
from mta.wire.loop import Loop

MAX_ASKED = 32  # questions of web under way; it has fewer threads, and users who send mail want to log in, too

Renew = Callable[[bytes, bytes], None]  # identity, what should be stored for it


class Desk:
    """Answers from *credentials*; *renew* hears of passwords whose hash should be a better one. *clock* counts seconds."""

    def __init__(
        self, loop: Loop, credentials: Credentials, hashers: Hashers, patience: Patience, renew: Renew,
        codes: Codes, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._loop, self._credentials, self._hashers = loop, credentials, hashers
        self._patience, self._renew, self._codes, self._clock = patience, renew, codes, clock
        self._asked = 0

    def asked(self, channel: Channel, packet: Packet) -> None:
        """A `Verify` or `CheckCode` of web."""
        question = packet[0]
        if isinstance(question, m.CheckCode):
            self._check_code(channel, question)
            return
        if not isinstance(question, m.Verify):
            channel.close()
            return
        self._credentials.refresh()
        if question.scope == b"key":
            right = self._credentials.look(lambda get: judge.is_right_key(question.name, question.secret, get))
            _answer(channel, question.tag, right=bool(right))
            return
        if self._asked >= MAX_ASKED or self._hashers.is_full:
            self._tell_refused(question)
            _answer(channel, question.tag, right=False)
            return
        self._asked += 1
        who, begun = question.scope + b" " + question.name.lower(), self._clock()
        if self._patience.is_refused(who):
            self._tell_refused(question)
            self._answer_wrong(channel, question.tag, begun, self._patience.delay(who))
        else:
            self._check(channel, question, who, begun)

    def _check_code(self, channel: Channel, question: m.CheckCode) -> None:
        # At once: who may ask how often, web knows; it alone knows whose secret it is.
        try:
            step = self._codes.step_of(question.sealed, question.code)
        except NotOpened as error:
            self._credentials.peers.event("credential-wrong", why=str(error))
            step = 0
        channel.send(m.CodeChecked(question.tag, step))

    def _check(self, channel: Channel, question: m.Verify, who: bytes, begun: float) -> None:
        name, salt = question.name, b""
        if question.scope == b"mailbox":
            name = self._credentials.look(lambda get: judge.identity_of(question.name, get)) or b""
            salt = scram.salt_of(self._credentials.public_key, name)
        known = self._credentials.open(lambda get, opener: judge.password_of(question.scope, name, get, opener))

        def hear(outcome: Outcome) -> None:
            if not outcome.fits:
                # Later with each in a row; the secret itself is forgotten already.
                self._answer_wrong(channel, question.tag, begun, self._patience.wrong(who))
                return
            self._asked -= 1
            self._patience.right(who)
            if outcome.better:
                self._renew(name, outcome.better)
            _answer(channel, question.tag, right=True)

        self._hashers.check(Task(known.content if known else None, question.secret, salt), hear)

    def _answer_wrong(self, channel: Channel, tag: int, begun: float, delay: float) -> None:
        """At one of a few moments, whether the secret was looked at or not."""

        def answer() -> None:
            self._asked -= 1
            _answer(channel, tag, right=False)

        now = self._clock()
        self._loop.call_later(due(begun, delay, now) - now, answer)

    def _tell_refused(self, question: m.Verify) -> None:
        self._credentials.peers.event("login-refused", scope=question.scope, login=question.name)


def _answer(channel: Channel, tag: int, *, right: bool) -> None:
    """Say it; who asked may be gone by now."""
    try:
        channel.send(m.Verified(tag, right))
    except ChannelClosed:
        return
