"""One client: its messages, one after the other; who of the recipients may have them; what the enqueuer says.

A reader would otherwise get wrong: a message whose recipients were judged is finished whether its client is still there or
not. A client that went away before it had our answer sends again, and that is the one case of two copies these protocols have.
"""

import select
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from mta.record import dataclass, field
from mta.roles.qmtpd.protocol import Lack, Message, ProtocolError, Reader, answer
from mta.roles.qmtpd.protocol import Protocol as Quick
from mta.smtp import driving, replies
from mta.smtp import events as e
from mta.smtp.addresses import BadPath, Fault, Parsed, parse_forward_path, parse_reverse_path
from mta.smtp.content import ChunkReader
from mta.smtp.intake import Intake
from mta.smtp.replies import Reply
from mta.smtp.server import refusal_of
from mta.vocabulary import Word
from mta.wire import messages as m
from mta.wire.asking import Asking
from mta.wire.loop import Loop

READ_OCTETS: Final = 64 * 1024
CLIENT_SECONDS: Final = 300.0  # without an octet from a client that owes us one; as RFC 5321 4.5.3.2.7
QUESTIONS: Final = 20  # about one message at once
MANY_PACKETS: Final = 16  # unread by the enqueuer; then the rest of a message waits
PAUSE_SECONDS: Final = 0.005
MAX_UNSENT: Final = 1 << 20  # octets of answers that a client does not read
MAX_WAITING: Final = 20  # messages of one client that wait for their turn; then it is not read from

_LACKS: Final = {Lack.SIZE: replies.TOO_LARGE, Lack.ROOM: replies.TOO_BUSY, Lack.FORM: replies.BARE_CR_LF_NUL}


class Ways(Protocol):
    """What is needed of `mta.wire.control.Peers`."""

    def tell(self, name: str, message: m.Message) -> bool:
        """Send what needs no answer; False when the peer is away."""

    def event(self, name: str, **pairs: bytes | str | int) -> None:
        """Tell the journal."""


@dataclass(slots=True)
class Budget:
    """How much content may be here at once: of one message, and of all together, in octets."""

    most_of_one: int
    most: int
    kept: int = 0

    def take(self, octets: int) -> Lack | None:
        """Room for a message of so many; None: it is yours until you give it back."""
        if octets > self.most_of_one + 1:  # QMTP's first octet is none of the content
            return Lack.SIZE
        if self.kept + octets > self.most:
            return Lack.ROOM
        self.kept += octets
        return None

    def give_back(self, octets: int) -> None:
        """They are gone."""
        self.kept -= octets


@dataclass(slots=True)
class House:
    """What all clients share."""

    loop: Loop
    asking: Asking
    ways: Ways
    budget: Budget
    hostname: bytes
    backlog: Callable[[], int]  # packets that the enqueuer has not read


@dataclass(slots=True, eq=False)
class Delivery:
    """The message in hand. Recipients are known by their place in it."""

    message: Message
    reverse_path: bytes
    to_ask: deque[int]
    asked: int = 0
    refusals: dict[int, Reply] = field(default_factory=dict)
    accepted: dict[int, e.Recipient] = field(default_factory=dict)


class Client:
    """One connection, from its first octet until its last message is decided; then *finished* is told."""

    def __init__(
        self, house: House, sock: socket.socket, accepted: m.Accepted, finished: Callable[["Client"], None]
    ) -> None:
        self.session = accepted.session
        self._house, self._sock, self._accepted, self._finished = house, sock, accepted, finished
        self._quick = Quick(accepted.service)
        self._reader = Reader(self._quick, self._room)
        self._rooms: deque[int] = deque()  # what each message has of the budget, in their order
        self._waiting: deque[Message] = deque()
        self._delivery: Delivery | None = None
        self._unsent = b""
        self._is_open, self._reads = True, True
        self._heard = time.monotonic()
        sock.setblocking(False)
        self._regulate()

    def expire(self, now: float) -> None:
        """Hang up on who is silent where we wait for him."""
        if self._is_open and self._delivery is None and now - self._heard > CLIENT_SECONDS:
            self._hang_up("waited too long")

    def wind_up(self) -> None:
        """We stop: whoever has nothing in hand is told nothing, as these protocols have no word for it."""
        self._waiting.clear()
        if self._is_open and self._delivery is None:
            self._hang_up("going down")

    # --- the connection

    def _happened(self, events: int) -> None:
        self._heard = time.monotonic()
        if events & select.EPOLLOUT:
            self._send(b"")
        if events & ~select.EPOLLOUT and self._is_open:
            self._read()

    def _read(self) -> None:
        try:
            octets = self._sock.recv(READ_OCTETS)
        except BlockingIOError:
            return
        except OSError:
            octets = b""
        if not octets:
            self._hang_up("")
            return
        try:
            self._waiting += self._reader.read(octets)
        except ProtocolError as error:
            self._hang_up(str(error))
            return
        self._go_on()

    def _send(self, octets: bytes) -> None:
        if not self._is_open:
            return
        self._unsent += octets
        try:
            sent = self._sock.send(self._unsent, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._hang_up("")
            return
        self._unsent = self._unsent[sent:]
        if len(self._unsent) > MAX_UNSENT:
            self._hang_up("does not read our answers")
            return
        self._regulate()

    def _regulate(self) -> None:
        """Read only from who has not much in hand already."""
        wanted = select.EPOLLIN if len(self._waiting) < MAX_WAITING else 0
        if self._unsent:
            wanted |= select.EPOLLOUT
        self._house.loop.watch(self._sock.fileno(), wanted, self._happened)

    def _hang_up(self, why: str) -> None:
        if not self._is_open:
            return
        self._is_open = False
        self._house.loop.unwatch(self._sock.fileno())
        self._sock.close()
        self._waiting.clear()
        if why:
            self._house.ways.event("broken-off", session=self.session, client=self._accepted.client, why=why)
        self._end_if_done()

    def _end_if_done(self) -> None:
        if self._is_open or self._delivery is not None:
            return
        while self._rooms:
            self._house.budget.give_back(self._rooms.popleft())
        self._finished(self)

    def _room(self, octets: int) -> Lack | None:
        lack = self._house.budget.take(octets)
        self._rooms.append(0 if lack else octets)
        return lack

    # --- a message

    def _go_on(self) -> None:
        """Take the next message in hand, if there is none and one waits."""
        while self._delivery is None and self._waiting:
            self._begin(self._waiting.popleft())
        if self._is_open:
            self._regulate()

    def _begin(self, message: Message) -> None:
        delivery = Delivery(message, b"", deque(range(len(message.recipients))))
        self._delivery = delivery
        fault = _LACKS[message.lack] if message.lack else None
        try:
            delivery.reverse_path = _address(parse_reverse_path, message.sender)
        except BadPath:
            fault = fault or replies.BAD_REVERSE_PATH
        if fault is not None:
            self._conclude(fault)
        else:
            self._ask_some()

    def _ask_some(self) -> None:
        delivery = self._delivery
        assert delivery is not None
        while delivery.to_ask and delivery.asked < QUESTIONS:
            self._ask(delivery, delivery.to_ask.popleft())
        if not delivery.asked and not delivery.to_ask:
            self._offer(delivery)

    def _ask(self, delivery: Delivery, place: int) -> None:
        try:
            forward_path = _address(
                lambda text: parse_forward_path(text, self._house.hostname), delivery.message.recipients[place]
            )
        except BadPath:
            delivery.refusals[place] = replies.BAD_FORWARD_PATH
            return
        asked = e.Ask(0, delivery.reverse_path, forward_path, len(delivery.message.content))
        delivery.asked += 1

        def hear(answer: m.Message | None) -> None:
            delivery.asked -= 1
            verdict = driving.verdict(answer)
            if verdict.word is Word.ACCEPT:
                delivery.accepted[place] = e.Recipient(forward_path, verdict.counted, verdict.expiry, verdict.ticket)
            else:
                delivery.refusals[place] = refusal_of(verdict)
            self._ask_some()

        if not self._house.asking.ask(
            "directory", lambda tag: driving.question(tag, self._accepted, asked), driving.DIRECTORY_SECONDS, hear
        ):
            delivery.asked -= 1
            delivery.refusals[place] = replies.TRY_LATER

    def _offer(self, delivery: Delivery) -> None:
        """All recipients are judged. QMQP has one answer for all, so there one who may not have it speaks for the rest."""
        if not delivery.accepted or (self._quick is Quick.QMQP and delivery.refusals):
            self._conclude(None)
            return
        offer = e.Offer(
            self._accepted.service, self._quick.value.upper(), _options(delivery), delivery.reverse_path,
            tuple(delivery.accepted[place] for place in sorted(delivery.accepted)),
        )  # fmt: skip
        intake = Intake(offer, self._house.budget.most_of_one, keeping=True)
        reader = ChunkReader()
        events = list(intake.take(reader.read(delivery.message.content), tainted=reader.tainted))
        events += intake.take(reader.finish(), tainted=reader.tainted)
        if intake.refusal is not None:
            self._conclude(intake.refusal)
            return
        self._send_all(deque([*events, *intake.finish()]))

    def _send_all(self, events: deque[e.Event]) -> None:
        """The first packet of a message is a question; all that follow it bear its tag."""
        offer = events.popleft()
        assert isinstance(offer, e.Offer)
        packets: deque[m.Message] = deque()
        tags: list[int] = []

        def first(tag: int) -> m.Message:
            tags.append(tag)
            packets.extend(driving.offers(tag, self._accepted, offer))
            return packets.popleft()

        if not self._house.asking.ask("enqueuer", first, driving.ENQUEUER_SECONDS, self._hear_enqueuer):
            self._conclude(replies.TRY_LATER)
            return
        for event in events:
            assert isinstance(event, e.Block)
            packets.append(m.Content(tags[0], event.last, event.octets))
        self._pass_on(packets)

    def _pass_on(self, packets: deque[m.Message]) -> None:
        """As fast as the enqueuer reads. Should it be gone, whoever asked is told so."""
        while packets and self._house.backlog() < MANY_PACKETS:
            if not self._house.ways.tell("enqueuer", packets.popleft()):
                return
        if packets:
            self._house.loop.call_later(PAUSE_SECONDS, lambda: self._pass_on(packets))

    def _hear_enqueuer(self, answer: m.Message | None) -> None:
        if isinstance(answer, m.Taken):
            self._conclude(None, answer.queue_id)
        elif isinstance(answer, m.Declined):
            self._conclude(replies.declined(answer.reply_code, answer.status, answer.text))
        else:
            self._conclude(replies.TRY_LATER)

    def _conclude(self, fault: Reply | None, queue_id: bytes = b"") -> None:
        """Tell what became of the message in hand: *fault* for all who were not refused by themselves."""
        delivery, self._delivery = self._delivery, None
        assert delivery is not None
        self._house.budget.give_back(self._rooms.popleft())
        places = range(len(delivery.message.recipients))
        if self._quick is Quick.QMQP:
            refusals = [fault] if fault else list(delivery.refusals.values())
            self._send(_verdict(max(refusals, key=lambda each: each.permanent) if refusals else None, queue_id))
        else:
            self._send(b"".join(_verdict(delivery.refusals.get(place, fault), queue_id) for place in places))
        for place, refused in delivery.refusals.items():
            self._note(delivery, delivery.message.recipients[place], refused)
        if fault is not None:
            self._note(delivery, b"", fault)
        self._end_if_done()
        self._go_on()

    def _note(self, delivery: Delivery, forward_path: bytes, refused: Reply) -> None:
        self._house.ways.event(
            "refused", session=self.session, client=self._accepted.client, reverse_path=delivery.reverse_path,
            forward_path=forward_path, reply=f"{refused.code} {refused.status} {refused.text}",
        )  # fmt: skip


def _address(parse: Callable[[bytes], Parsed], address: bytes) -> bytes:
    """*address* as it stands in these protocols: without brackets.

    Raises:
        BadPath: it is none.
    """
    text = b"<%b>" % address
    parsed = parse(text)
    if parsed.end != len(text):
        raise BadPath(Fault.SYNTAX)
    return parsed.address


def _options(delivery: Delivery) -> bytes:
    """What MAIL would have said in SMTP, so that the next server is asked for what the message needs."""
    options = [] if delivery.message.content.isascii() else [b"BODY=8BITMIME"]
    paths = (delivery.reverse_path, *(each.forward_path for each in delivery.accepted.values()))
    if not all(path.isascii() for path in paths):
        options.append(b"SMTPUTF8")
    return b" ".join(options)


def _verdict(refused: Reply | None, queue_id: bytes) -> bytes:
    if refused is None:
        return answer(b"K", b"queued as %b" % queue_id)
    letter = b"D" if refused.permanent else b"Z"
    return answer(letter, f"{refused.text} (#{refused.status})".encode())
