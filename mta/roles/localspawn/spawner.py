"""The judgement of localspawn: whose turn it is, who lives, what is answered.

A reader would otherwise get wrong: `advance` is called for every domain where something changed and decides from the state
alone. Nothing here waits; whatever takes time comes back as an event and calls `advance` again.
"""

import os
import re
import stat
import time
from collections.abc import Callable

from mta.record import dataclass
from mta.roles.localspawn.domains import Delivery, Domain, State, Steps
from mta.roles.localspawn.together import WINDOW_SECONDS, Disk, Moment
from mta.vocabulary import Action, AddressError, is_domain, is_queue_id, local_part_of_store
from mta.wire.channel import Channel, ChannelClosed, Packet
from mta.wire.control import Peers
from mta.wire.loop import Loop
from mta.wire.messages import (
    Attempted,
    Deliver,
    OpenStore,
    Release,
    Stage,
    Staged,
    Store,
    Stored,
    StoreDone,
    Write,
)

MAX_DOMAINS = 64  # locals at once
MAX_HELD = 20_000  # deliveries in here; the scheduler may try the rest later
IN_HAND = 64  # deliveries of one local at once: what it can make one batch of
STAGED = 16  # of those, that one Stage begins
SEVERAL = 8  # Deliveries that wait for one domain are a batch of its own, and its local's to sync.
ENOUGH = 128  # Gathered deliveries that need not wait for more.
TURN = 1000  # deliveries after which a local makes room when other domains wait
IDLE_SECONDS = 10.0
HOLD_SECONDS = 20.0  # so long a delivery waits for a storekeeper or a local that is being replaced
STUCK_SECONDS = 300.0
SWEEP_SECONDS = 2.0

_ANSWERS = frozenset({Action.DELIVERED.value, Action.FAILED.value, Action.DELAYED.value})
_STATUS = re.compile(rb"[245]\.\d{1,3}\.\d{1,3}\Z")  # RFC 3463 2
_UNPRINTABLE = re.compile(rb"[^ -~]")
_CONTENT = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_NOT_CONFIRMED = Attempted(0, Action.DELAYED.value, b"4.3.0", b"the delivery was not confirmed", 0)

# Makes a local: uid, folder, what to call with the exit status once it is gone. Answers its pid and the channel to it.
StartLocal = Callable[[int, int, Callable[[int], None]], tuple[int, Channel]]


@dataclass(frozen=True, slots=True)
class Pool:
    """The uids that domains may have; (0, 1) when the appliance has only its own, and 0 says: stay who you are."""

    first: int
    count: int

    def holds(self, uid: int) -> bool:
        """Is *uid* one of them?"""
        return self.first <= uid < self.first + self.count


class Spawner:
    """All domains that have mail at the moment."""

    def __init__(
        self,
        loop: Loop,
        content: int,
        pool: Pool,
        start_local: StartLocal,
        disk: Disk,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.peers: Peers  # whoever makes us sets it, before the first message
        self._loop, self._content, self._pool, self._start_local, self._now = loop, content, pool, start_local, now
        self._disk, self._moment = disk, Moment(now)
        self._domains: dict[bytes, Domain] = {}
        self._living: dict[Domain, None] = {}  # those that are not asleep: each takes one of MAX_DOMAINS places
        self._by_channel: dict[Channel, Domain] = {}
        self._asked: dict[int, Domain] = {}
        self._changed: dict[Domain, None] = {}  # a set that keeps the order
        self._queue: dict[Domain, None] = {}  # domains that wait for one of MAX_DOMAINS places, first come first
        self._gathering: dict[Domain, None] = {}  # those whose deliveries wait for others'
        self._stepping: dict[Domain, None] = {}  # those with something staged
        self._due = 0.0  # when the next step is taken at the latest; 0: there is none to take
        self._held = 0
        self._tag = 0
        self._sweeping = False
        loop.after_burst.append(self.advance_changed)

    # --- what comes in ---------------------------------------------------------------------------------------------

    def take(self, channel: Channel, packet: Packet) -> None:
        """A Deliver from the scheduler."""
        message, _ = packet
        if not isinstance(message, Deliver) or not _is_sound(message):
            channel.close()
            return
        delivery = Delivery(channel, message, self._now())
        if self._held >= MAX_HELD:
            self._answer(delivery, Action.DELAYED, b"4.3.2", b"too many deliveries are waiting")
            return
        self._held += 1
        domain = self._domains.get(message.domain)
        if domain is None:
            domain = self._domains[message.domain] = Domain(message.domain)
        domain.waiting.append(delivery)
        self._changed[domain] = None
        self._sweep_later()

    def met_store(self, _storekeeper: Channel, packet: Packet) -> None:
        """Storekeeper's answer: uid and folder, or why not."""
        message, descriptors = packet
        domain = self._asked.pop(message.tag, None) if isinstance(message, Store | StoreDone) else None
        try:
            if domain is None or domain.state is not State.ASKING:
                return
            self._fall_asleep(domain)
            if isinstance(message, Store):
                self._start(domain, message.uid, descriptors[0])
            elif isinstance(message, StoreDone):
                self._delay_waiting(domain, b"the mail store is not available: " + message.text)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def met_local(self, channel: Channel, packet: Packet) -> None:
        """A local's answer: to one delivery, or to a Stage."""
        message, _ = packet
        domain = self._by_channel[channel]
        if isinstance(message, Staged):
            sizes = _sizes(message)
            if sizes is None or not domain.steps.answered(sizes):
                self._misbehaved(domain, channel)
        elif isinstance(message, Attempted):
            domain.steps.forget(message.tag)
            delivery = domain.in_hand.pop(message.tag, None)
            if delivery is None or message.action not in _ANSWERS:
                if delivery is not None:
                    self._settle(delivery, _NOT_CONFIRMED)
                self._misbehaved(domain, channel)
                return
            self._settle(delivery, message)
            self._changed[domain] = None

    def _misbehaved(self, domain: Domain, channel: Channel) -> None:
        self.peers.event("local-misbehaved", domain=domain.name)
        channel.close()

    def lost(self, channel: Channel) -> None:
        """A channel closed: storekeeper's (its questions will be asked again), a local's, or the scheduler's (it will repeat)."""
        if channel.peer == "storekeeper":
            asked, self._asked = self._asked, {}
            for domain in asked.values():
                self._fall_asleep(domain)
        elif channel.peer == "local":
            self._lost_local(self._by_channel.pop(channel))
        elif channel.peer == "scheduler":
            self._forget_waiting(channel)

    def found(self, channel: Channel) -> None:
        """A peer is there: with storekeeper back, what waited for it goes on."""
        if channel.peer == "storekeeper":
            self._changed.update(dict.fromkeys(d for d in self._domains.values() if d.state is State.ASLEEP))

    # --- whose turn it is ------------------------------------------------------------------------------------------

    def advance_changed(self) -> None:
        """Do what became possible in this round."""
        self._advance_all()
        if self._due and not self._is_worth_waiting():
            self._step()
            self._advance_all()

    def _advance_all(self) -> None:
        while self._changed:
            changed, self._changed = self._changed, {}
            for domain in changed:
                self._advance(domain)

    def _advance(self, domain: Domain) -> None:
        if domain.state is State.SERVING:
            self._feed(domain)
            if not domain.in_hand:
                domain.idle_since = self._now()
                if self._queue:
                    self._end(domain)
        elif domain.state is State.ASLEEP:
            if domain.waiting:
                self._wake(domain)
            else:
                self._queue.pop(domain, None)
                self._domains.pop(domain.name, None)

    def _wake(self, domain: Domain) -> None:
        if len(self._living) >= MAX_DOMAINS:
            self._queue[domain] = None
            self._make_room()
            return
        storekeeper = self.peers.to("storekeeper")
        if storekeeper is None:
            return  # `found` comes back to it, or the sweep
        self._queue.pop(domain, None)
        self._tag += 1
        try:
            storekeeper.send(OpenStore(self._tag, domain.name))
        except ChannelClosed:
            return
        self._asked[self._tag] = domain
        domain.state = State.ASKING
        self._living[domain] = None

    def _make_room(self) -> None:
        """End the local that has been idle longest; one whose turn is over ends by itself."""
        idle = [domain for domain in self._living if domain.is_idle]
        if idle:
            self._end(min(idle, key=lambda d: d.idle_since))

    def _fall_asleep(self, domain: Domain) -> None:
        """Its place is free: first for who waits in the queue, then for itself if it has more to do."""
        domain.state, domain.uid = State.ASLEEP, 0
        self._living.pop(domain, None)
        for first in list(self._queue)[:1]:
            self._changed[first] = None
        self._changed[domain] = None

    # --- a local's life --------------------------------------------------------------------------------------------

    def _start(self, domain: Domain, uid: int, folder: int) -> None:
        wrong = self._what_is_wrong_with(uid, folder)
        if wrong:
            self.peers.event("store-refused", domain=domain.name, uid=uid, reason=wrong)
            self._delay_waiting(domain, b"the mail store is not available")
            return
        try:
            domain.pid, channel = self._start_local(uid, folder, lambda status: self._reaped(domain, status))
        except OSError as error:
            self.peers.event("local-not-started", domain=domain.name, reason=os.strerror(error.errno or 0))
            self._delay_waiting(domain, b"no process for the delivery")
            return
        domain.uid, domain.channel, domain.handed, domain.state = uid, channel, 0, State.SERVING
        domain.shares_disk = self._disk.holds(os.fstat(folder))
        self._living[domain] = None
        self._by_channel[channel] = domain
        self._loop.add_channel(channel, self.met_local, self.lost)

    def _what_is_wrong_with(self, uid: int, folder: int) -> str:
        if not self._pool.holds(uid):
            return "uid outside the range"
        if uid and any(other.pid and other.uid == uid for other in self._living):
            return "uid lives already"
        found = os.fstat(folder)
        if not stat.S_ISDIR(found.st_mode) or (uid and found.st_uid != uid):
            return "not a folder of this uid"
        return ""

    def _end(self, domain: Domain) -> None:
        """Hang up; the local finishes what it has and ends."""
        domain.state = State.ENDING
        if domain.channel is not None:
            domain.channel.close()  # the loop tells `lost`

    def _lost_local(self, domain: Domain) -> None:
        domain.channel, domain.state, domain.steps = None, State.ENDING, Steps()
        if domain.in_hand:
            self.peers.event("local-lost", domain=domain.name, deliveries=len(domain.in_hand))
        text = Attempted(0, Action.DELAYED.value, b"4.3.0", b"the delivery was interrupted", 0)
        for tag in list(domain.in_hand):
            self._settle(domain.in_hand.pop(tag), text)
        self._gone(domain)

    def _reaped(self, domain: Domain, status: int) -> None:
        domain.pid = 0
        if status:
            self.peers.event("local-ended", domain=domain.name, status=os.waitstatus_to_exitcode(status))
        self._gone(domain)

    def _gone(self, domain: Domain) -> None:
        """Reaped and read to the end: the uid is free, and so is the place."""
        if domain.pid == 0 and domain.channel is None:
            self._fall_asleep(domain)

    # --- deliveries ------------------------------------------------------------------------------------------------

    def _feed(self, domain: Domain) -> None:
        if domain.waiting and self._may_wait(domain):
            self._gathering[domain] = None
            self._due = self._due or self._wake_at(self._now() + WINDOW_SECONDS)
            return
        self._gathering.pop(domain, None)
        while domain.waiting and len(domain.in_hand) < IN_HAND:
            if self._turn_is_over(domain):
                return
            self._hand(domain, domain.waiting.popleft())

    def _turn_is_over(self, domain: Domain) -> bool:
        return bool(self._queue) and domain.handed >= TURN

    def _hand(self, domain: Domain, delivery: Delivery) -> None:
        request, descriptor = delivery.request, self._open_content(delivery)
        if descriptor < 0:
            return
        tag = self._take_in_hand(domain, delivery)
        write = Write(tag, request.queue_id, request.reverse_path, request.recipient, request.store)
        try:
            assert domain.channel is not None
            domain.channel.send(write, (descriptor,))
        except ChannelClosed:
            return  # the loop tells `lost`, which answers it
        finally:
            os.close(descriptor)

    def _take_in_hand(self, domain: Domain, delivery: Delivery) -> int:
        """The tag that *delivery* has between us and the local from now on."""
        self._tag += 1
        domain.handed += 1
        domain.in_hand[self._tag] = delivery
        return self._tag

    # --- deliveries that share their waits for the disk -------------------------------------------------------------

    def _may_wait(self, domain: Domain) -> bool:
        """Is it a moment to gather, and *domain* one that has little to gain by itself?"""
        busy = self._moment.is_busy(domain.name)
        return (
            busy and domain.shares_disk and len(domain.waiting) < SEVERAL and not self._queue and not self._disk.rests
        )

    def _wake_at(self, moment: float) -> float:
        self._loop.call_later(moment - self._now(), lambda: None)  # What is done is done at the end of that round.
        return moment

    def _is_worth_waiting(self) -> bool:
        """Does the next step serve more deliveries later than now?"""
        if self._now() >= self._due:
            return False
        if any(domain.steps.outstanding for domain in self._stepping):
            return True
        return 0 < sum(len(domain.waiting) for domain in self._gathering) < ENOUGH

    def _step(self) -> None:
        """One sync for all that was written or renamed; then each local renames what is sure now, and writes what waits."""
        self._due = 0.0
        self._sync()
        gathered, self._gathering = self._gathering, {}
        for domain in gathered | self._stepping:
            steps = domain.steps
            if domain.state is State.SERVING and not steps.outstanding and (domain.waiting or steps.sure):
                self._stage(domain)
            elif domain in gathered and domain.waiting and domain.state is State.SERVING:
                self._gathering[domain] = None  # Its local has not yet done what it was told before.
            if not (steps.outstanding or steps.need_sync):
                self._stepping.pop(domain, None)
                self._changed[domain] = None
        if self._gathering or self._stepping:
            self._due = self._wake_at(self._now() + WINDOW_SECONDS)

    def _sync(self) -> None:
        some = [domain for domain in self._stepping if domain.steps.need_sync]
        if not some:
            return
        if not self._disk.sync():
            self.peers.event("disk-refused", error="the mail store cannot be synced")
            for domain in some:
                self._end(domain)  # What its local left in tmp/ is replaced when the delivery is repeated.
            return
        for domain in some:
            for tag, size in domain.steps.synced().items():
                delivered = Attempted(0, Action.DELIVERED.value, b"2.0.0", b"", size)
                self._settle(domain.in_hand.pop(tag), delivered)

    def _stage(self, domain: Domain) -> None:
        fields: list[bytes] = []
        descriptors: list[int] = []
        steps = domain.steps
        try:
            while domain.waiting and len(descriptors) < STAGED and len(domain.in_hand) < IN_HAND:
                if self._turn_is_over(domain):
                    break
                delivery = domain.waiting.popleft()
                descriptor = self._open_content(delivery)
                if descriptor < 0:
                    continue
                descriptors.append(descriptor)
                request, tag = delivery.request, self._take_in_hand(domain, delivery)
                steps.asked[tag] = 0
                fields += (b"%d" % tag, request.queue_id, request.reverse_path, request.recipient, request.store)
            if not (descriptors or steps.sure):
                return  # It may begin nothing more, and has nothing to end.
            steps.renaming, steps.sure, steps.outstanding = steps.sure, {}, True
            self._stepping[domain] = None
            assert domain.channel is not None
            domain.channel.send(Stage(tuple(fields)), descriptors)
        except ChannelClosed:
            return  # the loop tells `lost`, which answers them
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    # --- what goes in and out ---------------------------------------------------------------------------------------

    def _open_content(self, delivery: Delivery) -> int:
        """A descriptor of what is to be delivered; -1, and it is answered, when there is none to be had."""
        try:
            descriptor = os.open(delivery.request.queue_id.decode(), _CONTENT, dir_fd=self._content)
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                return descriptor
            os.close(descriptor)
            why = b"not a file"
        except OSError as error:
            why = os.strerror(error.errno or 0).encode()
        self._settle(delivery, Attempted(0, Action.DELAYED.value, b"4.3.0", b"the content cannot be opened: " + why, 0))
        return -1

    def _forget_waiting(self, scheduler: Channel) -> None:
        """Its successor reads the spool and asks for all of it anew; doing it twice would be for nothing."""
        for domain in self._domains.values():
            kept = [delivery for delivery in domain.waiting if delivery.asker is not scheduler]
            self._held -= len(domain.waiting) - len(kept)
            domain.waiting.clear()
            domain.waiting.extend(kept)

    def _delay_waiting(self, domain: Domain, text: bytes) -> None:
        while domain.waiting:
            self._settle(domain.waiting.popleft(), Attempted(0, Action.DELAYED.value, b"4.3.0", text[:1000], 0))

    def _settle(self, delivery: Delivery, outcome: Attempted) -> None:
        """Tell the scheduler, and for a counted mailbox the ledger."""
        self._held -= 1
        request, action = delivery.request, outcome.action
        if request.counted:
            if action == Action.DELIVERED.value:
                self.peers.tell("ledger", Stored(request.queue_id, request.counted, outcome.size))
            elif action == Action.FAILED.value:
                self.peers.tell("ledger", Release(request.queue_id, request.counted))
        status = outcome.status if _STATUS.match(outcome.status) else b"4.3.0"
        text = _UNPRINTABLE.sub(b"?", outcome.diagnostic_code) if outcome.diagnostic_code else b""
        self._send(delivery, Attempted(request.tag, action, status, text, outcome.size))

    def _answer(self, delivery: Delivery, action: Action, status: bytes, text: bytes) -> None:
        self._send(delivery, Attempted(delivery.request.tag, action.value, status, text, 0))

    def _send(self, delivery: Delivery, answer: Attempted) -> None:
        try:
            delivery.asker.send(answer)
        except ChannelClosed:
            # The scheduler that asked is gone. The one after it reads the spool and asks anew.
            return

    # --- time ------------------------------------------------------------------------------------------------------

    def _sweep_later(self) -> None:
        if not self._sweeping:
            self._sweeping = True
            self._loop.call_later(SWEEP_SECONDS, self._sweep_and_go_on)

    def _sweep_and_go_on(self) -> None:
        self._sweeping = False
        self.sweep()
        if self._domains:
            self._sweep_later()

    def sweep(self) -> None:
        """End what is idle, hang up on what is stuck, answer what has waited too long for somebody who is not there."""
        now = self._now()
        for domain in list(self._domains.values()):
            if domain.is_idle and now - domain.idle_since >= IDLE_SECONDS:
                self._end(domain)
            elif domain.state is State.SERVING:
                if now - domain.oldest_in_hand() >= STUCK_SECONDS:
                    self.peers.event("local-stuck", domain=domain.name)
                    self._end(domain)
            elif domain not in self._queue:
                while domain.waiting and now - domain.waiting[0].since >= HOLD_SECONDS:
                    text = Attempted(0, Action.DELAYED.value, b"4.3.0", b"the mail store is not available", 0)
                    self._settle(domain.waiting.popleft(), text)
                self._changed[domain] = None

    # --- the end ---------------------------------------------------------------------------------------------------

    def hang_up(self) -> None:
        """Let every local finish what it has in hand and end."""
        for domain in list(self._living):
            if domain.state is State.SERVING:
                self._end(domain)


def _sizes(message: Staged) -> dict[int, int] | None:
    """Octets by tag; None: nothing of the kind."""
    fields = message.sizes
    if len(fields) % 2 or not all(field.isdigit() and len(field) < 20 for field in fields):
        return None
    return dict(zip(map(int, fields[::2]), map(int, fields[1::2]), strict=True))


def _is_sound(message: Deliver) -> bool:
    """Are the names in *message*, from which paths are made, what they should be?"""
    try:
        local_part_of_store(message.store.decode())
        return is_queue_id(message.queue_id) and is_domain(message.domain.decode())
    except (AddressError, UnicodeDecodeError):
        return False
