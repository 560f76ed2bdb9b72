"""The judgement of remotespawn: whose turn it is, who has a place, who must hurry, what is answered.

A reader would otherwise get wrong: every recipient of every Send is answered exactly once, and every Send is ended, whatever
becomes of remotes; each way that a message can take through here ends in `_settle`.
"""

import contextlib
import os
import re
import stat
import time
from collections.abc import Callable
from typing import Final

from mta.roles.remotespawn.destinations import Destination, Key, Sending, State
from mta.roles.remotespawn.orphans import Orphans
from mta.roles.remotespawn.routes import NoRoute, Routes
from mta.security.reporting import OPTIONAL, POLICIES, RESULTS, Sessions
from mta.vocabulary import TLS_NOT_REQUIRED, Action, is_domain, is_queue_id
from mta.wire import messages as m
from mta.wire import permits
from mta.wire.channel import Channel, ChannelClosed, Packet, pair
from mta.wire.control import Peers
from mta.wire.loop import Loop

ASKED: Final = ("resolver", "fetcher")  # by remotes, over channels of their own
MAX_HELD = 20_000  # messages in here; the scheduler may try the rest later
TURN = 1000  # messages after which a remote makes room when other destinations wait
IDLE_SECONDS = 10.0
SLOW_SECONDS = 5.0  # of silence, after which a remote must hurry when healthy destinations wait for its place
DOUBTFUL_SECONDS = 30.0  # the same when doubtful ones do
ASIDE_SECONDS = 2.0  # after it was told to hurry: what a remote has then, its hosts have, but for their answer
LAST_WORD_SECONDS = (
    120.0  # that a host has for its answer in any case (RFC 5321 4.5.3.2.6 wants ten minutes, where there is room)
)
STUCK_SECONDS = 7200.0  # longer than any host may take for what a remote has in hand
SWEEP_SECONDS = 1.0
KEPT_SECONDS = 3600.0  # so long an answer waits for a new scheduler to ask for it
REPORT_SECONDS = 20.0  # between two tellings of how TLS went
DAY = 86_400  # seconds
MAX_RESULTS = 200  # lines of the log that a remote may have written before it is done with a message
MAX_SESSIONS = 1_000_000  # that one of them speaks of
SPARE_IN_HAND = 20  # messages beyond one for each connection: what is ready when one becomes free

_ANSWERS: Final = frozenset(
    {action.value for action in (Action.RELAYED, Action.DELIVERED, Action.FAILED, Action.DELAYED)}
)
_STATUS: Final = re.compile(rb"[245]\.\d{1,3}\.\d{1,3}\Z")  # RFC 3463 2
_STAGES: Final = frozenset({b"mail", b"rcpt", b"data", b"bdat", b"content-end"})
_UNPRINTABLE: Final = re.compile(rb"[^ -~]")
_CONTENT: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_SLOW: Final = b"the host was too slow to answer while others waited"


class Spawner:
    """All destinations that have mail at the moment. `peers` must be set before the first message."""

    peers: Peers

    def __init__(
        self, loop: Loop, content: int, routes: Routes, nursery: Channel, settings: Callable[[], dict[str, bytes]],
        *, now: Callable[[], float] = time.monotonic, clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        """*settings* are those of [outbound] and the host's name, as they are now. *clock* counts seconds since 1970."""
        self._loop, self._content, self._routes, self._nursery = loop, content, routes, nursery
        self._settings, self._now, self._clock = settings, now, clock
        self._sessions, self._reported = Sessions(), now()
        self._orphans = Orphans()
        self._coming: dict[Channel, Sending] = {}  # whose recipients follow
        self._destinations: dict[Key, Destination] = {}
        self._living: dict[Destination, None] = {}  # those that are not asleep: each takes a place, if it is not aside
        self._aside: dict[
            Destination, None
        ] = {}  # that wait for last words, the longest first; as many as there are places
        self._by_channel: dict[Channel, Destination] = {}
        self._by_number: dict[int, Destination] = {}
        self._queue: dict[Destination, None] = {}  # healthy ones that wait for a place, first come first
        self._doubtful_queue: dict[Destination, None] = {}
        self._changed: dict[Destination, None] = {}  # a set that keeps the order
        self._held = 0
        self._tag = 0
        self._number = 0
        self.change()
        loop.after_burst.append(self.advance_changed)
        loop.call_later(SWEEP_SECONDS, self._sweep_again)

    def change(self) -> None:
        """The settings may be others now."""
        settings = self._settings()
        self._most = int(settings.get("outbound.max_destinations", b"100"))
        self._reports = bool(settings.get("outbound.tls_reports"))
        self._in_hand = int(settings.get("outbound.connections_per_destination", b"20")) + SPARE_IN_HAND
        self._pairs = tuple(part for name, value in settings.items() for part in (name.encode(), value))

    # --- what comes in ---------------------------------------------------------------------------------------------

    def take(self, channel: Channel, packet: Packet) -> None:
        """A Send from the scheduler, or one of its recipients."""
        message, _ = packet
        coming = self._coming.get(channel)
        if isinstance(message, m.Send) and coming is None and _is_sound(message):
            self._coming[channel] = Sending(channel, message, tag=message.tag)
        elif (
            isinstance(message, m.SendRecipient) and coming is not None and message.tag == coming.request.tag
            and message.index == len(coming.recipients)
        ):  # fmt: skip
            coming.recipients.append(message)
            if len(coming.recipients) == coming.request.recipients:
                del self._coming[channel]
                coming.unanswered.update(range(len(coming.recipients)))
                self._accept(coming)
        else:
            channel.close()

    def _accept(self, sending: Sending) -> None:
        request = sending.request
        self._held += 1
        if self._held > MAX_HELD:
            self._settle(sending, b"4.3.2", b"too many messages are waiting")
            return
        try:
            route = self._routes.find(request.route) if request.route else None
        except NoRoute as error:
            self._settle(sending, b"4.4.4", str(error).encode())
            return
        is_lax = TLS_NOT_REQUIRED in request.options.split()
        key = (request.domain if route is None or not route.next_hop else b"", request.route, route, is_lax)
        if (orphan := self._orphans.adopt(sending, key)) is not None:
            self._held -= 1
            self._catch_up(orphan)
            return
        destination = self._destinations.get(key)
        if destination is None:
            destination = self._destinations[key] = Destination(key)
        if destination.is_hurried:
            self._settle(sending, b"4.4.1", _SLOW, trouble=True)
            return
        destination.doubtful = request.doubtful
        destination.waiting.append(sending)
        self._changed[destination] = None

    def heed_nursery(self, nursery: Channel, packet: Packet) -> None:
        """A remote is no more, or was never made."""
        ended, _ = packet
        assert isinstance(ended, m.HatchEnded)
        destination = self._by_number.pop(ended.number, None)
        if destination is None:
            nursery.close()
            return
        if ended.status not in (b"0", b""):
            self.peers.event("remote-ended", domain=_name(destination), status=ended.status)
        destination.number = 0
        self._gone(destination)

    def heed(self, channel: Channel, packet: Packet) -> None:
        """A remote's answer about one recipient, or that there are no more."""
        message, _ = packet
        destination = self._by_channel[channel]
        sending = destination.in_hand.get(message.tag) if isinstance(message, m.Sent | m.SendDone) else None
        is_result = isinstance(message, m.TlsResults)
        if not is_result:
            destination.quiet_since = self._now()
        destination.results = destination.results + 1 if is_result else 0
        if isinstance(message, m.TlsResults) and _is_of_a_kind(message) and destination.results <= MAX_RESULTS:
            self.peers.event(
                "tls-results", domain=_name(destination), policy=message.policy, mx=_clean(message.mx), result=message.result,
                sessions=message.sessions,
            )  # fmt: skip
            self._count(destination, message)
        elif sending is not None and isinstance(message, m.Sent) and _is_credible(message, sending):
            sending.unanswered.discard(message.index)
            self._pass_on(destination, sending, message)
        elif sending is not None and isinstance(message, m.SendDone) and not sending.unanswered:
            del destination.in_hand[message.tag]
            self._done(sending, message.host_trouble, message.retry_after)
            self._changed[destination] = None
        else:
            self.peers.event("remote-misbehaved", domain=_name(destination))
            channel.close()

    def _count(self, destination: Destination, results: m.TlsResults) -> None:
        """Of a domain whose own hosts those are it may want to be told; not of how a report about that went (RFC 8460 3)."""
        domain, _, _, is_lax = destination.key
        if self._reports and domain and not is_lax:
            self._sessions.add(int(self._clock()) // DAY, domain, results)

    def tell_reporter(self) -> None:
        """Pass on what was counted."""
        self._reported = self._now()
        for seen in self._sessions.take():
            if not self.peers.tell("reporter", seen):
                self._sessions.put_back(seen)

    def lost(self, channel: Channel) -> None:
        """A channel closed: a remote's, or the scheduler's (its successor asks anew)."""
        if channel in self._by_channel:
            self._lost_remote(self._by_channel.pop(channel))
        elif channel.peer == "scheduler":
            self._coming.pop(channel, None)
            self._forget_waiting(channel)
            for destination in self._living:
                for sending in destination.in_hand.values():
                    if sending.asker is channel:
                        self._orphans.leave(sending, destination.key, self._now() + KEPT_SECONDS)

    def found(self, channel: Channel) -> None:
        """A peer is there: a new resolver or fetcher is asked by remotes that live already."""
        if channel.peer in ASKED:
            for destination in self._living:
                self._introduce(destination, channel.peer)

    # --- whose turn it is ------------------------------------------------------------------------------------------

    def advance_changed(self) -> None:
        """Do what became possible in this round."""
        while self._changed:
            changed, self._changed = self._changed, {}
            for destination in changed:
                self._advance(destination)

    def _advance(self, destination: Destination) -> None:
        if destination.state is State.SERVING:
            self._feed(destination)
            # Who is healthy does not make room for who is not: there are always some of those, and he is soon needed again.
            is_wanted = bool(self._queue or (destination.doubtful and self._doubtful_queue)) or destination.is_aside
            if not destination.in_hand and is_wanted:
                self._end(destination)
        elif destination.state is State.ASLEEP:
            if destination.waiting:
                self._wake(destination)
            else:
                self._leave_queues(destination)
                self._destinations.pop(destination.key, None)

    def _leave_queues(self, destination: Destination) -> None:
        self._queue.pop(destination, None)
        self._doubtful_queue.pop(destination, None)

    def _wake(self, destination: Destination) -> None:
        queue = self._doubtful_queue if destination.doubtful else self._queue
        if not self._has_place(destination):
            queue.setdefault(destination)
            self._make_room(destination)
            return
        self._leave_queues(destination)
        self._start(destination)

    def _has_place(self, destination: Destination) -> bool:
        if len(self._living) - len(self._aside) >= self._most:
            return False
        return not destination.doubtful or self._doubtful_places > 0

    @property
    def _doubtful_places(self) -> int:
        return max(1, self._most // 2) - sum(
            living.doubtful and not living.is_aside for living in self._living
        )  # fmt: skip

    def _make_room(self, destination: Destination) -> None:
        """End who is idle longest; where nobody is, who has been silent too long must hurry."""
        rivals = [
            living for living in self._living
            if living.state is State.SERVING and not living.is_hurried and (living.doubtful or not destination.doubtful)
        ]  # fmt: skip
        idle = [living for living in rivals if living.is_idle]
        if idle:
            self._end(min(idle, key=lambda living: living.quiet_since))
            return
        patience = DOUBTFUL_SECONDS if destination.doubtful else SLOW_SECONDS
        slow = [living for living in rivals if living.in_hand and self._now() - living.quiet_since >= patience]
        if slow:
            self._hurry(min(slow, key=lambda living: living.quiet_since))

    def _hurry(self, destination: Destination) -> None:
        destination.hurried_since = self._now()
        self.peers.event("remote-hurried", domain=_name(destination), messages=len(destination.in_hand))
        while destination.waiting:
            self._settle(destination.waiting.popleft(), b"4.4.1", _SLOW, trouble=True)
        self._tell(destination, m.Hurry())

    def _step_aside(self, destination: Destination) -> None:
        """Its hosts have all that it has, and may take minutes for an answer: others get its place meanwhile.

        RFC 5321 4.5.3.2.6: to hang up means a second copy, if the host was merely slow. So there is a room for those who
        wait, and who has waited in it longest is given up only when it is full.
        """
        if len(self._aside) >= self._most:
            longest = next(iter(self._aside))
            if self._now() - (longest.hurried_since or 0.0) >= LAST_WORD_SECONDS:
                self._tell(longest, m.Hurry(at_once=True))
            return
        destination.is_aside = True
        self._aside[destination] = None
        for sending in destination.in_hand.values():
            self._send(sending, m.SendWaits(sending.request.tag))
        self._offer_place()

    def _offer_place(self) -> None:
        for queue in (self._queue, self._doubtful_queue):
            for first in list(queue)[:1]:
                self._changed[first] = None

    def _fall_asleep(self, destination: Destination) -> None:
        """Its place is free: first for who waits, then for itself if it has more to do."""
        destination.state, destination.hurried_since, destination.is_aside = State.ASLEEP, None, False
        self._living.pop(destination, None)
        self._aside.pop(destination, None)
        self._offer_place()
        self._changed[destination] = None

    # --- a remote's life -------------------------------------------------------------------------------------------

    def _start(self, destination: Destination) -> None:
        try:
            where = self._where(destination)
            ours, theirs = pair()
        except NoRoute as error:
            self._delay_waiting(destination, b"4.4.4", str(error).encode())
            return
        except OSError as error:
            self._delay_waiting(destination, b"4.3.2", os.strerror(error.errno or 0).encode())
            return
        self._number += 1
        channel = Channel(ours, "remote", permits.readable_by_client("remotespawn", "remote"))
        destination.number, destination.channel, destination.handed = self._number, channel, 0
        destination.state, destination.quiet_since = State.SERVING, self._now()
        self._living[destination] = None
        self._by_channel[channel] = self._by_number[self._number] = destination
        self._loop.add_channel(channel, self.heed, self.lost)
        with theirs, contextlib.suppress(ChannelClosed):  # The nursery is gone: so are we, in this round of the loop.
            self._nursery.send(m.Hatch(self._number), (theirs.fileno(),))
        self._tell(destination, where)
        for name in ASKED:
            self._introduce(destination, name)
        self._changed[destination] = None

    def _where(self, destination: Destination) -> m.Destination:
        """All that its remote must know.

        Raises:
            NoRoute: its route cannot be used.
        """
        domain, name, route, is_lax = destination.key
        own = OPTIONAL.encode() if is_lax else b""
        if route is None:
            return m.Destination(domain, b"", own, False, b"", b"", b"", self._pairs)
        if self._routes.find(name) != route:
            raise NoRoute("the route has changed")  # It comes back, and then by the new one.
        password = self._routes.password_of(route)
        return m.Destination(
            domain, route.next_hop, route.tls or own, route.lmtp, route.login, password, route.source_address, self._pairs
        )  # fmt: skip

    def _introduce(self, destination: Destination, name: str) -> None:
        """Give its remote a channel of its own to *name*."""
        asked = self.peers.to(name)
        if asked is None or destination.channel is None:
            return
        try:
            ours, theirs = pair()
        except OSError:
            return  # It will find nobody to ask, and say so.
        with ours, theirs, contextlib.suppress(ChannelClosed):
            asked.send(m.Attach(b"%d" % destination.number), (theirs.fileno(),))
            destination.channel.send(m.Peer(name.encode(), 0, serving=False), (ours.fileno(),))

    def _end(self, destination: Destination) -> None:
        """Hang up; the remote ends."""
        destination.state = State.ENDING
        if destination.channel is not None:
            destination.channel.close()  # the loop tells `lost`

    def _lost_remote(self, destination: Destination) -> None:
        destination.channel, destination.state = None, State.ENDING
        if destination.in_hand:
            self.peers.event("remote-lost", domain=_name(destination), messages=len(destination.in_hand))
        self._doubt(destination)
        self._gone(destination)

    def _doubt(self, destination: Destination) -> None:
        """Its remote is no more. Whether a host has what it had in hand nobody can know: it might have said so wrongly, too."""
        for tag in list(destination.in_hand):
            sending = destination.in_hand.pop(tag)
            for _ in sending.unanswered:
                self._tell_of_doubt(destination, sending, b"")
            self._settle(sending, b"4.3.0", b"the delivery was interrupted; it may have arrived", in_doubt=True)

    def _tell_of_doubt(self, destination: Destination, sending: Sending, remote_mta: bytes) -> None:
        self.peers.event(
            "in-doubt", queue_id=sending.request.queue_id, domain=_name(destination), remote_mta=remote_mta
        )

    def _gone(self, destination: Destination) -> None:
        """Ended and read to the end: the place is free."""
        if destination.number == 0 and destination.channel is None:
            self._fall_asleep(destination)

    def _tell(self, destination: Destination, message: m.Message, *descriptors: int) -> None:
        with contextlib.suppress(ChannelClosed):  # The loop tells `lost`, which answers all that is in hand.
            if destination.channel is not None:
                destination.channel.send(message, descriptors)

    # --- messages --------------------------------------------------------------------------------------------------

    def _feed(self, destination: Destination) -> None:
        most = 0 if destination.is_hurried else self._in_hand
        while destination.waiting and len(destination.in_hand) < most:
            if destination.handed >= TURN and (self._queue or self._doubtful_queue):
                return
            self._hand(destination, destination.waiting.popleft())

    def _hand(self, destination: Destination, sending: Sending) -> None:
        request = sending.request
        try:
            descriptor = self._open_content(request.queue_id)
        except OSError as error:
            self._settle(sending, b"4.3.0", b"the content cannot be opened: " + os.strerror(error.errno or 0).encode())
            return
        self._tag += 1
        tag = self._tag
        destination.handed += 1
        if not destination.in_hand:
            destination.quiet_since = self._now()
        destination.in_hand[tag] = sending
        try:
            transmit = m.Transmit(tag, request.reverse_path, request.options, request.size, request.recipients)
            self._tell(destination, transmit, descriptor)
        finally:
            os.close(descriptor)
        for each in sending.recipients:
            self._tell(destination, m.SendRecipient(tag, each.index, each.recipient, each.options))

    def _open_content(self, queue_id: bytes) -> int:
        descriptor = os.open(queue_id.decode(), _CONTENT, dir_fd=self._content)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(22, "not a file")
        return descriptor

    def _forget_waiting(self, scheduler: Channel) -> None:
        """Its successor reads the spool and asks for all of it anew; doing it twice would be for nothing."""
        for destination in self._destinations.values():
            kept = [sending for sending in destination.waiting if sending.asker is not scheduler]
            self._held -= len(destination.waiting) - len(kept)
            destination.waiting.clear()
            destination.waiting.extend(kept)

    def _delay_waiting(self, destination: Destination, status: bytes, text: bytes) -> None:
        while destination.waiting:
            self._settle(destination.waiting.popleft(), status, text)
        self._changed[destination] = None

    def _settle(
        self, sending: Sending, status: bytes, text: bytes, *, trouble: bool = False, in_doubt: bool = False
    ) -> None:
        """Whoever of *sending* was not answered is delayed, and that is all."""
        for index in sorted(sending.unanswered):
            self._send(sending, m.Sent(
                sending.request.tag, index, Action.DELAYED.value, status, _clean(text), b"", in_doubt=in_doubt,
            ))  # fmt: skip
        sending.unanswered.clear()
        self._done(sending, trouble, 0)

    def _pass_on(self, destination: Destination, sending: Sending, sent: m.Sent) -> None:
        if sent.in_doubt:
            self._tell_of_doubt(destination, sending, _clean(sent.remote_mta))
        status = sent.status if _STATUS.match(sent.status) else b"4.3.0"
        self._send(sending, m.Sent(
            sending.request.tag, sent.index, sent.action, status, _clean(sent.diagnostic_code), _clean(sent.remote_mta),
            _clean(sent.tls), sent.notifies, sent.in_doubt, sent.stage if sent.stage in _STAGES else b"",
        ))  # fmt: skip

    def _done(self, sending: Sending, trouble: bool, retry_after: int) -> None:
        self._held -= 1
        self._send(sending, m.SendDone(sending.request.tag, trouble, retry_after))

    def _send(self, sending: Sending, answer: m.Sent | m.SendWaits | m.SendDone) -> None:
        if sending.asker is None:
            sending.kept.append(answer)
            return
        if sending.numbers is not None:
            if isinstance(answer, m.Sent):
                if answer.index not in sending.numbers:
                    return  # It was decided before, and written down.
                answer = answer.but(index=sending.numbers[answer.index])
            answer = answer.but(tag=sending.tag)
        with contextlib.suppress(ChannelClosed):
            # The scheduler that asked may be gone. The one after it reads the spool and asks anew.
            sending.asker.send(answer)

    def _catch_up(self, adopted: Sending) -> None:
        """Tell what came while nobody was there to hear it."""
        kept, adopted.kept = adopted.kept, []
        for answer in kept:
            self._send(adopted, answer)

    # --- time ------------------------------------------------------------------------------------------------------

    def _sweep_again(self) -> None:
        self.sweep()
        self._loop.call_later(SWEEP_SECONDS, self._sweep_again)

    def sweep(self) -> None:
        """End what is idle, hang up on what is stuck, make room for who waits."""
        now = self._now()
        self._orphans.expire(now)
        if now - self._reported >= REPORT_SECONDS:
            self.tell_reporter()
        for destination in list(self._living):
            quiet = now - destination.quiet_since
            if destination.is_idle and quiet >= IDLE_SECONDS:
                self._end(destination)
            elif destination.state is State.SERVING and destination.in_hand and quiet >= STUCK_SECONDS:
                self.peers.event("remote-stuck", domain=_name(destination))
                self._end(destination)
            elif _has_had_its_time(destination, now):
                self._step_aside(destination)
        for queue in (self._queue, self._doubtful_queue):
            # One for each who waits: they all have been waiting while these were silent.
            for destination in list(queue)[: self._most]:
                self._changed[destination] = None

    # --- the end ---------------------------------------------------------------------------------------------------

    def wind_up(self) -> None:
        """Let every remote give up what it can, so that what it must wait for may still be answered."""
        for destination in list(self._living):
            if destination.state is State.SERVING:
                self._hurry(destination)

    def leave(self) -> None:
        """There is no time left for answers."""
        for destination in list(self._living):
            self._doubt(destination)
        self.tell_reporter()

    @property
    def in_hand(self) -> int:
        """Messages that remotes have."""
        return sum(len(destination.in_hand) for destination in self._living)


def _has_had_its_time(destination: Destination, now: float) -> bool:
    """Was it told to hurry, and what it has left can only be waited for?"""
    since = destination.hurried_since
    is_waiting = destination.state is State.SERVING and bool(destination.in_hand) and not destination.is_aside
    return since is not None and is_waiting and now - since >= ASIDE_SECONDS


def _is_sound(message: m.Send) -> bool:
    """Is what becomes a path, a name or a count what it should be?"""
    try:
        is_named = is_domain(message.domain.decode("ascii"))
    except UnicodeDecodeError:
        return False
    return is_named and is_queue_id(message.queue_id) and 1 <= message.recipients <= m.MAX_SEND_RECIPIENTS


def _is_of_a_kind(results: m.TlsResults) -> bool:
    return results.result in RESULTS and results.policy in POLICIES and 0 < results.sessions <= MAX_SESSIONS


def _is_credible(sent: m.Sent, sending: Sending) -> bool:
    return sent.index in sending.unanswered and sent.action in _ANSWERS


def _clean(text: bytes) -> bytes:
    return _UNPRINTABLE.sub(b"?", text)[:1000] if text else b""


def _name(destination: Destination) -> bytes:
    """For the log: the domain, or the route."""
    return destination.key[0] or destination.key[1]
