"""The content of one message on its way to the enqueuer: cut into blocks, measured, and refused when it must be.

A reader would otherwise get wrong: a message of up to one block is judged before the enqueuer hears of it. A longer one is
offered when its first block is full, and withdrawn when the rest turns out bad; so at most one block is ever kept here.
"""

from collections.abc import Sequence

from mta.smtp import replies
from mta.smtp.content import HopCounter
from mta.smtp.events import Block, Event, Offer, Withdraw
from mta.smtp.replies import Reply

BLOCK = 60 * 1024  # octets of content in one packet to the enqueuer
MAX_PARTS = 256  # kept as they came; a client that sends octet by octet would have us keep forty octets for each
MAX_HOPS = 100  # Received fields; RFC 5321 6.3 asks for at least 100 before it is called a loop
# Of those, ours. Lists of lists may bring a message here a few times; whoever forwards to a host that forwards back would
# have it a hundred times over.
MAX_OWN_HOPS = 10
# What may be wrong with content, the weightiest last. All of it can only become wrong, never right again, so what the client
# hears depends on the whole and not on where the network cut it.
_FAULTS = (replies.TOO_MANY_HOPS, replies.BARE_CR_LF_NUL, replies.TOO_LARGE)
_NOTHING: tuple[Event, ...] = ()


class Intake:
    """One message's content; the events that its methods return are to be carried out in their order."""

    __slots__ = ("_held", "_hops", "_keeping", "_max_size", "_offer", "_offered", "_parts", "_size", "refusal")

    def __init__(self, offer: Offer, max_size: int, *, keeping: bool, host: bytes = b"") -> None:
        """Without *keeping* the content is judged like any other and goes nowhere. *host*: our name."""
        self.refusal: Reply | None = None
        self._offer = offer
        self._offered = False  # the enqueuer has heard of it and would have to be told that it is off
        self._max_size = max_size
        self._keeping = keeping
        self._parts: list[bytes] = []
        self._held = 0  # octets in _parts
        self._size = 0
        self._hops = HopCounter(host)

    def expect(self, size: int) -> Sequence[Event]:
        """So many octets more are announced."""
        return self.refuse(replies.TOO_LARGE) if self._size + size > self._max_size else _NOTHING

    def take(self, content: bytes, *, tainted: bool) -> Sequence[Event]:
        """The next piece; *tainted*: there was something in it, or before, that no content may have."""
        self._size += len(content)  # RFC 1870 5: with CRLF, without stuffed dots and the final one
        self._hops.read(content)
        if self._size > self._max_size:
            return self._blame(replies.TOO_LARGE)
        if tainted:
            return self._blame(replies.BARE_CR_LF_NUL)
        if self._hops.hops > MAX_HOPS or self._hops.own > MAX_OWN_HOPS:
            return self._blame(replies.TOO_MANY_HOPS)
        if self._keeping and self.refusal is None:
            self._parts.append(content)
            self._held += len(content)
            if len(self._parts) > MAX_PARTS:
                self._parts = [b"".join(self._parts)]
            if self._held > BLOCK:
                return self._pass_on()
        return _NOTHING

    def finish(self) -> Sequence[Event]:
        """That was the end, and nothing was wrong: the rest to the enqueuer, whose word it is now."""
        last = Block(b"".join(self._parts), True)
        self._parts.clear()
        if self._offered:
            self._offered = False
            return (last,)
        return (self._offer_now(), last)

    def refuse(self, reply: Reply) -> Sequence[Event]:
        """Keep nothing; the client hears *reply* at the end (RFC 5321 4.2.5)."""
        self.refusal = reply
        return self.abandon()

    def declined(self, reply: Reply) -> None:
        """The enqueuer does not want the rest."""
        self._offered = False
        self.refuse(reply)

    def abandon(self) -> Sequence[Event]:
        """There will be no end."""
        self._parts.clear()
        if not self._offered:
            return _NOTHING
        self._offered = False
        return (Withdraw(),)

    def _offer_now(self) -> Offer:
        """With the marks that were found by now: of more than a block only the first tells where it was."""
        marks = self._hops.marks
        if not marks:
            return self._offer
        return self._offer._replace(options=b"%b PASSED=%b" % (self._offer.options, b",".join(marks)))

    def _blame(self, fault: Reply) -> Sequence[Event]:
        """Refuse for *fault*, unless something weightier, or the enqueuer, was before it."""
        if self.refusal is None:
            return self.refuse(fault)
        if self.refusal in _FAULTS and _FAULTS.index(self.refusal) < _FAULTS.index(fault):
            self.refusal = fault
        return _NOTHING

    def _pass_on(self) -> Sequence[Event]:
        """Whole blocks go; the last octets stay, because only the end tells which block is the last."""
        events: list[Event] = [] if self._offered else [self._offer_now()]
        self._offered = True
        content = b"".join(self._parts)
        start = 0
        while len(content) - start > BLOCK:
            events.append(Block(content[start : start + BLOCK], False))
            start += BLOCK
        self._parts = [content[start:]]
        self._held = len(content) - start
        return events
