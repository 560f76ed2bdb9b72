"""`postern queue …`: which messages are meant, what is told of them, a few at a time between other work.

A reader would otherwise get wrong: to know a message's recipients its envelope must be read, and there may be a hundred
thousand. So an order about a domain or a sender is a walk that goes on for seconds, while mail flows.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Protocol

from mta.roles.scheduler.hands import Hands
from mta.roles.scheduler.holds import Holds
from mta.spool import envelope as envelope_format
from mta.spool import progress as progress_format
from mta.spool.envelope import Envelope, NotWholeError, UnknownVersionError
from mta.spool.progress import Progress
from mta.vocabulary import Action
from mta.wire import messages as m

STEP = 400  # messages that are remembered, looked at between two looks at the channels: one or two milliseconds
FILE = 10  # as many of them as one of which a file is opened
MAX_ORDERS = 20  # at once
MAX_LISTED = 1000  # messages that one list names
MAX_SHOWN = 1000  # recipients that are shown of one message
KEPT_OCTETS = 3 << 20  # of envelopes that were read, some ten thousand; of more the disk is asked each time
_KEPT = frozenset({b"hold", b"release", b"remove"})  # what is written down
_BY_NAME = frozenset({b"domain", b"sender"})  # what an envelope that is meant holds as it stands
_WHATS = _KEPT | {b"retry", b"flush", b"list", b"show"}


class Owner(Protocol):
    """The queue."""

    holds: Holds

    def owed(self) -> list[bytes]:
        """Every message, oldest first."""

    def is_owed(self, queue_id: bytes) -> bool:
        """Is there such a message, and not finished?"""

    def is_in_hand(self, queue_id: bytes) -> bool:
        """Is it in an attempt?"""

    def flush(self, now: float) -> int:
        """Try everything now; how many messages is that?"""

    def planned(self) -> Mapping[bytes, float]:
        """When each is tried next, in seconds since 1970; whose time has come or who waits for a destination is not there."""


class Orders:
    """Orders that are being carried out, one after the other."""

    def __init__(self, owner: Owner, hands: Hands) -> None:
        self._owner, self._hands = owner, hands
        self._walks: deque[Iterator[int]] = deque()  # what they are about to cost, as STEP counts
        self._read: dict[bytes, bytes] = {}  # envelopes, which are never written twice
        self._room = KEPT_OCTETS

    def __bool__(self) -> bool:
        """Is anything left to be done?"""
        return bool(self._walks)

    def take(self, order: m.QueueOrder, now: float) -> None:
        """Carry out *order*, or refuse it."""
        if order.what not in _WHATS or order.by not in (b"id", b"domain", b"domains", b"sender", b"all"):
            self._end(order, b"refused", b"no such order")
        elif len(self._walks) >= MAX_ORDERS:
            self._end(order, b"refused", b"busy with other orders")
        elif order.what == b"flush" and order.by == b"all":
            self._end(order, b"done", b"%d" % self._owner.flush(now))
        else:
            self._walks.append(self._walk(order))

    def step(self) -> None:
        """Do a little of what is left."""
        left = STEP
        while self._walks and left > 0:
            cost = next(self._walks[0], 0)
            left -= cost
            if not cost:
                self._walks.popleft()

    def _walk(self, order: m.QueueOrder) -> Iterator[int]:
        done = 0
        self._forget_finished()
        # Once for the walk: to look for one message among a hundred thousand takes as long as to look at all.
        planned = self._owner.planned() if order.what in (b"list", b"show") else {}
        for queue_id in [order.value] if order.by == b"id" else self._owner.owed():
            if queue_id <= order.after:
                continue
            yield 1 if queue_id in self._read else FILE
            envelope = self._envelope(order, queue_id) if self._owner.is_owed(queue_id) else None
            if envelope is None or not _is_meant(order, envelope):
                continue  # A walk past all the others' messages opens one file of each, not two.
            progress = self._progress(queue_id)
            if progress is None:
                continue
            if order.what == b"list" and done >= min(order.count, MAX_LISTED):
                self._end(order, b"more", b"1")
                return
            done += self._carry_out(order, queue_id, envelope, progress, planned)
            yield FILE  # Paid afterwards: nobody finishes it between the look whether it is owed and the deed.
        # Who was told `done` need not look again after a power cut.
        if done and order.what in _KEPT and not self._hands.settle():
            self._end(order, b"refused", b"the disk does not take it; what was changed may not outlast a power cut")
            return
        self._end(order, b"done", b"%d" % done)

    def _carry_out(
        self,
        order: m.QueueOrder,
        queue_id: bytes,
        envelope: Envelope,
        progress: Progress,
        planned: Mapping[bytes, float],
    ) -> int:
        holds, is_held = self._owner.holds, bool(progress.held)
        if order.what in (b"list", b"show"):
            self._tell(order, self._about(queue_id, envelope, progress, planned) | _concerned(order, envelope))
            if order.what == b"show":
                self._tell_recipients(order, envelope, progress)
            return 1
        if order.what == b"hold":
            return holds.hold(queue_id, is_held=is_held)
        if order.what == b"release":
            return holds.release(queue_id, is_held=is_held)
        if order.what == b"remove":
            return holds.remove(queue_id)
        return holds.retry(queue_id, is_held=is_held)

    def _envelope(self, order: m.QueueOrder, queue_id: bytes) -> Envelope | None:
        try:
            octets = self._octets(queue_id)
            if octets is None or (order.by in _BY_NAME and not envelope_format.holds(octets, order.value.lower())):
                return None
            return envelope_format.parse(octets)
        except (NotWholeError, UnknownVersionError, OSError):
            return None  # Nobody can say whose it is; it shows in the log when it is due.

    def _octets(self, queue_id: bytes) -> bytes | None:
        """The envelope as it was written. To open a file behind walls takes ten times as long as to look who is named."""
        octets = self._read.get(queue_id)
        if octets is None:
            octets = self._hands.envelope(queue_id)
            if octets is not None and len(octets) <= self._room:
                self._read[queue_id] = octets
                self._room -= len(octets)
        return octets

    def _forget_finished(self) -> None:
        for queue_id in [known for known in self._read if not self._owner.is_owed(known)]:
            self._room += len(self._read.pop(queue_id))

    def _progress(self, queue_id: bytes) -> Progress | None:
        try:
            return progress_format.parse(self._hands.progress(queue_id))
        except (NotWholeError, UnknownVersionError, OSError):
            return None  # It shows in the log, as an envelope does.

    def _about(
        self, queue_id: bytes, envelope: Envelope, progress: Progress, planned: Mapping[bytes, float]
    ) -> dict[str, bytes | int]:
        latest = max(
            (outcome for outcome in progress.outcomes if outcome.action is Action.DELAYED),
            key=lambda outcome: outcome.moment, default=None,
        )  # fmt: skip
        is_held = progress.held or queue_id in self._owner.holds
        state = "held" if is_held else "trying" if self._owner.is_in_hand(queue_id) else "waiting"
        return {
            "queue_id": queue_id, "state": state.encode(), "held": progress.held, "arrival": envelope.arrival,
            "size": envelope.size, "reverse_path": envelope.reverse_path, "identity": envelope.identity,
            "recipients": len(envelope.recipients), "forward_path": envelope.recipients[0].forward_path,
            "next": 0 if is_held else int(planned.get(queue_id, 0.0)),
            "status": latest.status if latest else b"", "diagnostic_code": latest.diagnostic_code if latest else b"",
        }  # fmt: skip

    def _tell_recipients(self, order: m.QueueOrder, envelope: Envelope, progress: Progress) -> None:
        for index, recipient in enumerate(envelope.recipients[:MAX_SHOWN]):
            known = {outcome.final_recipient: outcome for outcome in progress.outcomes if outcome.index == index}
            if not known:
                self._tell(order, {"forward_path": recipient.forward_path, "action": b"waiting"})
            for final, outcome in list(known.items())[:MAX_SHOWN]:
                self._tell(order, {
                    "forward_path": recipient.forward_path, "final_recipient": final, "action": outcome.action.value,
                    "status": outcome.status, "moment": outcome.moment, "diagnostic_code": outcome.diagnostic_code,
                })  # fmt: skip

    def _tell(self, order: m.QueueOrder, pairs: dict[str, bytes | int], *, last: bool = False) -> None:
        flat: list[bytes] = []
        for name, value in pairs.items():
            flat += (name.encode(), value if isinstance(value, bytes) else b"%d" % value)
        self._hands.answer(m.QueueTold(order.tag, last, tuple(flat)))

    def _end(self, order: m.QueueOrder, name: bytes, value: bytes) -> None:
        self._tell(order, {name.decode(): value}, last=True)


def _concerned(order: m.QueueOrder, envelope: Envelope) -> dict[str, bytes | int]:
    """Which recipients it is about, where it is about some domains: who else a message is for is the sender's affair."""
    mine = _of_domains(order, envelope) if order.by in (b"domain", b"domains") else []
    return {"forward_path": mine[0], "concerned": len(mine)} if mine else {}


def _of_domains(order: m.QueueOrder, envelope: Envelope) -> list[bytes]:
    names = order.value.lower().split()
    return [each.forward_path for each in envelope.recipients if _domain_of(each.forward_path) in names]


def _domain_of(address: bytes) -> bytes:
    return address.rpartition(b"@")[2].lower()


def _is_meant(order: m.QueueOrder, envelope: Envelope) -> bool:
    value = order.value.lower()
    if order.by == b"domain":
        return any(each.forward_path.rpartition(b"@")[2].lower() == value for each in envelope.recipients)
    if order.by == b"domains":
        return _domain_of(envelope.identity) in value.split() or bool(_of_domains(order, envelope))
    if order.by == b"sender":
        return value in (envelope.reverse_path.lower(), envelope.identity)
    return True
