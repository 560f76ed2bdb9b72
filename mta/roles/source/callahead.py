"""The call-ahead: asks the next hop itself, as far as RCPT, and never sends a message.

A reader would otherwise get wrong: not every 5yz says that a recipient does not exist. A next hop that has something
against *us* refuses everybody, and taking that for "unknown" would throw all mail of the domain away: only what speaks of
the mailbox (RFC 3463 X.1 and X.2), or has no enhanced status, counts.
"""

import re
from collections import deque
from collections.abc import Callable
from typing import Final

from mta.roles.source.places import Places
from mta.smtp.client import Answered, Broken, Client, Command, Event, Kind, Phase, Ready, Reply
from mta.streams import Stream
from mta.vocabulary import Word
from mta.wire.loop import Loop

MAX_CONNECTIONS = 4  # to one next hop at once
MAX_WAITING = 200  # questions to one next hop; a client that asks then is told to try later
MAX_QUESTIONS = 50  # over one connection; some servers end it after a hundred recipients that do not exist
PATIENCE_SECONDS = 8.0  # for a whole question; a client waits, so not the minutes that RFC 5321 4.5.3.2 gives a queue
IDLE_SECONDS = 10.0  # a connection without questions is kept open

_ATOMS: Final = re.compile(rb"[^\x00-\x20\"(),:;<>@\[\\\]\x7f]+\Z")  # RFC 5321 4.1.2 Dot-string, RFC 6531 3.3; about
_UNPRINTABLE: Final = re.compile(rb"[\x00-\x1f\x7f]")
_RSET: Final = Command(Kind.RSET, b"RSET")
_QUIT: Final = Command(Kind.QUIT, b"QUIT")

Hear = Callable[[Word], None]


class NextHop:
    """One server that knows the recipients of a domain."""

    def __init__(self, loop: Loop, places: Places, name: bytes, host: str, port: int) -> None:
        """*name*: what we call ourselves."""
        self._loop, self._places, self._name, self._host, self._port = loop, places, name, host, port
        self._waiting: deque[tuple[bytes, Hear]] = deque()
        self._conversations: list[_Conversation] = []
        self._opening = 0
        self.trouble = ""

    def ask(self, address: bytes, hear: Hear) -> None:
        """Does it take mail for *address* (an address key)?"""
        if len(self._waiting) >= MAX_WAITING or _UNPRINTABLE.search(address):
            hear(Word.TRY_LATER)
            return
        self._waiting.append((address, hear))
        for conversation in list(self._conversations):
            conversation.go_on()
        if self._waiting and len(self._conversations) + self._opening < MAX_CONNECTIONS:
            self._open()

    def close(self) -> None:
        """Nobody asks any more."""
        self._give_up()
        for conversation in list(self._conversations):
            conversation.end()

    def next(self) -> tuple[bytes, Hear] | None:
        """A question that waits."""
        return self._waiting.popleft() if self._waiting else None

    def back(self, question: tuple[bytes, Hear]) -> None:
        """A connection that had been kept open was gone when it was needed: that is no answer."""
        self._waiting.appendleft(question)

    def gone(self, conversation: "_Conversation", *, was_useful: bool) -> None:
        """*conversation* is over. Where it answered nothing, a further one would not either."""
        self._conversations.remove(conversation)
        if self._waiting and not self._conversations and not self._opening:
            if was_useful:
                self._open()
            else:
                self._give_up()

    def _open(self) -> None:
        self._opening += 1
        self._places.find(self._host, self._found, public_only=True)

    def _found(self, address: str) -> None:
        self._opening -= 1
        if address:
            self._conversations.append(_Conversation(self._loop, self, self._name, address, self._port))
        elif not self._conversations and not self._opening:
            self.trouble = "its name leads nowhere, or into a private network"
            self._give_up()

    def _give_up(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for _, hear in waiting:
            hear(Word.TRY_LATER)


class _Conversation:
    """One connection."""

    def __init__(self, loop: Loop, hop: NextHop, name: bytes, address: str, port: int) -> None:
        self._loop, self._hop = loop, hop
        self._client = Client(name)
        self._question: tuple[bytes, Hear] | None = None
        self._asked = 0
        self._is_ready = self._is_over = False
        self._steps = 0  # goes up with whatever is begun: a timer that finds another number than its own is outdated
        self._stream = Stream(loop, (address, port), self)
        self._be_patient()

    def go_on(self) -> None:
        """Ask what waits, if nothing is asked now."""
        if self._is_over or not self._is_ready or self._question is not None or not self._client.is_idle:
            return
        question = self._hop.next() if self._asked < MAX_QUESTIONS else None
        if question is None:
            self._wait_a_while()
            return
        self._asked += 1
        address, hear = question
        if not address.isascii() and b"SMTPUTF8" not in self._client.extensions:
            hear(Word.UNKNOWN)  # RFC 6531 3.5: it has no such mailbox, whatever its name
            self.go_on()
            return
        self._question = question
        mail = b"MAIL FROM:<>" if address.isascii() else b"MAIL FROM:<> SMTPUTF8"
        self._client.ask(
            Command(Kind.MAIL, mail), Command(Kind.RCPT, b"RCPT TO:<%b>" % written(address)), _RSET
        )  # fmt: skip
        self._stream.send(self._client.take())
        self._be_patient()

    # --- the stream's words

    def opened(self) -> None:
        """The server speaks first."""

    def received(self, octets: bytes) -> None:
        """Replies."""
        for event in self._client.receive(octets):
            self._hear(event)
        if not self._is_over:
            self._stream.send(self._client.take())
            self.go_on()

    def closed(self, why: str) -> None:
        """It hung up, or never answered."""
        for event in self._client.lost(why):
            self._hear(event)
        self.end()

    # --- the server's words

    def _hear(self, event: Event) -> None:
        match event:
            case Ready():
                self._is_ready = True
            case Answered(command, reply):
                self._answered(command.kind, reply)
            case Broken(why, reply):
                self._hop.trouble = f"{why}: {reply.code}" if reply else why
                self.end()

    def _answered(self, kind: Kind, reply: Reply) -> None:
        if kind is Kind.MAIL and not reply.is_positive:
            self._hop.trouble = f"it answers MAIL with {reply.code}"
            self._conclude(Word.TRY_LATER)
        elif kind is Kind.RCPT:
            self._hop.trouble = f"it answers RCPT with {reply.code} {reply.status.decode()}"
            self._conclude(word_of(reply))
        elif (kind is Kind.RSET and not reply.is_positive) or kind is Kind.QUIT:
            self.end()

    def _conclude(self, word: Word) -> None:
        question, self._question = self._question, None
        if question is not None:
            question[1](word)

    def end(self) -> None:
        """Hang up; the question that is open is told so, or goes to another one."""
        if self._is_over:
            return
        self._is_over = True
        self._stream.close()
        question, self._question = self._question, None
        if question is not None and self._asked > 1:
            self._hop.back(question)
        elif question is not None:
            question[1](Word.TRY_LATER)
        self._hop.gone(self, was_useful=self._asked > 0)

    # --- time

    def _be_patient(self) -> None:
        self._steps += 1
        now = self._steps
        self._loop.call_later(PATIENCE_SECONDS, lambda: self._too_late(now))

    def _too_late(self, step: int) -> None:
        if step == self._steps and not self._is_over and not (self._is_ready and self._client.is_idle):
            self._hop.trouble = "it does not answer in time"
            self._conclude(Word.TRY_LATER)
            self.end()

    def _wait_a_while(self) -> None:
        self._steps += 1
        now = self._steps
        seconds = IDLE_SECONDS if self._asked < MAX_QUESTIONS else 0.0
        self._loop.call_later(seconds, lambda: self._leave(now))

    def _leave(self, step: int) -> None:
        if step == self._steps and not self._is_over and self._client.phase is Phase.READY:
            self._client.ask(_QUIT)
            self._stream.send(self._client.take())
            self._is_ready = False
            self._be_patient()


def word_of(reply: Reply) -> Word:
    """What a reply to RCPT says about the recipient."""
    if reply.is_positive:
        return Word.ACCEPT
    if not reply.is_permanent:
        return Word.FULL if reply.status == b"4.2.2" else Word.TRY_LATER
    if reply.status == b"5.2.2" or (not reply.status and reply.code == 552):
        return Word.FULL
    about_the_mailbox = not reply.status or reply.status.startswith((b"5.1.", b"5.2."))
    return Word.UNKNOWN if about_the_mailbox else Word.TRY_LATER


def written(address: bytes) -> bytes:
    """An address key as it stands in a command: with quotes where its local-part wants them (RFC 5321 4.1.2)."""
    local_part, _, domain = address.rpartition(b"@")
    is_plain = _ATOMS.match(local_part) and not local_part.startswith(b".") and not local_part.endswith(b".")
    if not is_plain or b".." in local_part:
        local_part = b'"%b"' % local_part.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return local_part + b"@" + domain
