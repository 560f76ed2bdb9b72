"""One conversation in a process of its own: a client's socket, the peers, the core, and poll(2) until it is over.

A reader would otherwise get wrong: nothing is shared and nothing is given back. Whatever a conversation opened or remembers
goes with the process, so there is no tidying here but one: what was said to a peer must have left before the end.
"""

import collections
import os
import select
import socket
import time
from collections.abc import Callable, Mapping
from math import ceil, inf
from typing import Any, ClassVar, Final

from mta.smtp import driving, replies
from mta.smtp import events as e
from mta.smtp.replies import Reply
from mta.smtp.server import Phase, Policy, Server
from mta.wire import messages as m
from mta.wire.channel import Channel, ChannelClosed
from mta.wire.control import event_of

READ_OCTETS = 64 * 1024
LAST_WORDS_SECONDS = 1.0  # for a peer that lags to take what was said before we end
_GONE = select.POLLERR | select.POLLHUP | select.POLLNVAL
# Looked up once, as plain names and numbers: every object that a cell finds its way through costs it a page (2 us).
_OVER: Final = Phase.OVER
_HANDSHAKE: Final = Phase.HANDSHAKE
_IN, _OUT = select.POLLIN, select.POLLOUT
_NOT_OUT = ~select.POLLOUT
_AT_ONCE = int(socket.MSG_DONTWAIT)
_AT_ONCE_QUIETLY = int(socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)


class Cell:
    """The one conversation. *lifeline*: a descriptor that closes when whoever forked us stops or is gone."""

    __slots__ = (
        "_accepted", "_asked", "_break_off_at", "_client", "_client_number", "_conclusion_by", "_core", "_deadline",
        "_deaf", "_ended", "_ending", "_ending_last", "_faults", "_lifeline", "_login_by", "_login_tag", "_now",
        "_offered", "_peers", "_poll", "_secured_by", "_soon", "_steps_seen", "_tag", "_takes_charge", "_tarpit",
        "_tarpit_seconds", "_unsent", "_watched", "_watched_peers", "_wind_up_at",
    )  # fmt: skip

    def __init__(
        self, accepted: m.Accepted, client: socket.SocketType, peers: Mapping[str, Channel], lifeline: int, policy: Policy,
        tarpit_seconds: float, now: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._accepted, self._peers, self._lifeline = accepted, peers, lifeline
        self._tarpit_seconds, self._now = tarpit_seconds, now
        self._client: socket.SocketType | None = client
        self._client_number = client.fileno()
        self._takes_charge = "submitter" if "submitter" in peers else "enqueuer"
        self._core = Server(policy, implicit_tls=accepted.service == driving.IMPLICIT_TLS)
        self._core.tls_away = "tlsspawn" not in peers
        self._secured_by = inf  # until when tls must have made the handshake
        self._wind_up_at = now() + policy.session_seconds
        self._break_off_at = now() + 2 * policy.session_seconds
        self._ending, self._ending_last = replies.SESSION_TOO_LONG, replies.SESSION_TOO_LONG
        self._deadline, self._steps_seen = inf, -1  # when the client must have said something whole
        self._soon: collections.deque[Callable[[], None]] = collections.deque()
        self._tag = 0
        self._asked: dict[int, tuple[int, float]] = {}  # tag: the core's number of the question, until when
        self._tarpit: collections.deque[tuple[float, int, e.Verdict]] = collections.deque()
        self._login_tag = 0  # of what the authenticator is asked, and was asked last
        self._login_by = inf  # until when it must have answered
        self._offered = 0  # the tag of the message that the enqueuer has, 0: none
        self._conclusion_by = inf
        self._unsent = b""
        self._deaf = False  # we hung up, and read only to throw away
        self._ended = False  # the client says no more
        self._faults = 0
        self._poll = select.poll()
        self._watched = 0  # what of the client we wait for
        self._watched_peers: dict[int, tuple[Channel, Callable[..., None]]] = {}  # by descriptor, and who hears them
        self._watch()

    def converse(self) -> None:
        """Hold the conversation to its end."""
        self.greet()
        self.go_on()

    def go_on(self) -> None:
        """The rest of it, once it has begun."""
        while not self.over:
            self.wait()
        for channel in self._peers.values():
            if channel.backlog:
                self._say_the_rest(channel)

    @property
    def over(self) -> bool:
        """The client is gone, and nothing that it said is in hand."""
        return self._client is None and self._core.phase is _OVER

    def greet(self) -> None:
        """Begin."""
        if self._accepted.service == driving.IMPLICIT_TLS:
            assert self._client is not None
            self._hand_over(self._client)
        else:
            self._run(self._core.greet)

    def wait(self) -> None:
        """Wait until something happens, and serve it."""
        for descriptor, happened in self._poll.poll(self._patience_ms()):
            if descriptor == self._client_number:
                self._heed_client(happened)
            elif descriptor == self._lifeline:
                self._heed_lifeline()
            elif (watched := self._watched_peers.get(descriptor)) is not None:
                self._heed_peer(*watched, happened)
            # else closed by what came before it in this round
        while self._soon:
            self._soon.popleft()()
        self._heed_time()

    # --- waiting

    def _watch(self) -> None:
        register, peers, wants_write = self._poll.register, self._peers, self._wants_write
        register(self._client_number, 0)
        register(self._lifeline, 0)
        for name, channel in peers.items():
            channel.wants_write = wants_write
            hear = self._HEAR.get(name)
            if hear is not None and (name != "enqueuer" or name == self._takes_charge):
                descriptor = channel.fileno()
                self._watched_peers[descriptor] = channel, hear
                register(descriptor, _IN)

    def _heed_peer(self, channel: Channel, hear: Callable[..., None], happened: int) -> None:
        try:
            if happened & _OUT:
                channel.flush()
            # One packet each time: poll comes back while there are more, and to be told that there is none is an exception.
            if happened & _NOT_OUT and (packet := channel.receive_one()) is not None:
                hear(self, packet[0], *packet[1])
        except ChannelClosed:
            channel.close()

    def _wants_write(self, channel: Channel, wanted: bool) -> None:
        descriptor = channel.fileno()
        if descriptor not in self._watched_peers:
            return  # The journal's: nothing waits for it, and what is left is sent at the end.
        if channel.closed:
            del self._watched_peers[descriptor]
            self._poll.unregister(descriptor)
            self._soon.append(lambda: self._lose_peer(channel))
        else:
            self._poll.modify(descriptor, _IN | (_OUT if wanted else 0))
            if not wanted:
                self._regulate()

    def _patience_ms(self) -> int:
        """How long nothing needs to happen, in milliseconds."""
        if self._soon:
            return 0
        moment = min(
            self._deadline, self._wind_up_at, self._break_off_at, self._conclusion_by, self._secured_by, self._login_by
        )  # fmt: skip
        for _, until in self._asked.values():
            moment = min(moment, until)
        if self._tarpit:
            moment = min(moment, self._tarpit[0][0])
        return max(0, ceil(1000 * (moment - self._now())))

    def _heed_time(self) -> None:
        now = self._now()
        while self._tarpit and self._tarpit[0][0] <= now:
            _, number, verdict = self._tarpit.popleft()
            self._run(self._core.verdict, number, verdict)
        if self._asked:
            for tag, (_, until) in tuple(self._asked.items()):
                if until <= now:
                    self._judge(tag, None)
        if self._conclusion_by <= now:
            self._tell(
                self._takes_charge, m.Withdraw(self._offered)
            )  # Too slow rather than away: it should not take it now.
            self._conclude(replies.TRY_LATER)
        if self._login_by <= now:
            self._hear_authenticator(None)
        if self._secured_by <= now:
            self._hear_tls(None)
        if self._deadline <= now:
            self._give_up_waiting()
        if self._break_off_at <= now:
            self._break_off_at = inf
            self._run(self._core.break_off, self._ending_last)
        elif self._wind_up_at <= now:
            self._wind_up_at = inf
            self._run(self._core.wind_up, self._ending)

    def _give_up_waiting(self) -> None:
        self._deadline = inf
        if self._deaf:
            self._close()
        else:
            self._run(self._core.break_off, replies.TIMED_OUT)

    def _heed_lifeline(self) -> None:
        """Whoever forked us stops: finish what is in hand, take nothing new."""
        self._poll.unregister(self._lifeline)
        self._ending = self._ending_last = replies.STOPPING
        self._wind_up_at = self._now()
        self._break_off_at = min(self._break_off_at, self._wind_up_at + driving.STOP_SECONDS)

    # --- the client

    def _heed_client(self, happened: int) -> None:
        client = self._client
        assert client is not None
        if happened & _OUT and self._unsent:
            octets, self._unsent = self._unsent, b""
            self._send_octets(octets)
            if self._deaf and not self._unsent:
                _say_no_more(client)
            if self._core.phase is _HANDSHAKE and not self._unsent:
                self._hand_over(client)
                return
            self._regulate()
        if happened & _IN and self._client is not None:
            self._read(client)
        elif happened & _GONE:
            self._lose()

    def _read(self, client: socket.SocketType) -> None:
        try:
            octets = client.recv(READ_OCTETS, _AT_ONCE)
        except BlockingIOError:
            return
        except OSError:
            self._lose()
            return
        if self._deaf:
            if not octets:
                self._close()
        elif octets:
            self._run(self._core.receive, octets)
        else:
            self._ended = True
            self._regulate()
            self._run(self._core.end_of_input)

    def _lose(self) -> None:
        """The connection is gone."""
        self._close()
        self._run(self._core.lost)

    def _close(self) -> None:
        client, self._client, self._deadline = self._client, None, inf
        if client is not None:
            self._poll.unregister(self._client_number)
            self._client_number = -1
            client.close()

    def _send_octets(self, octets: bytes) -> None:
        client = self._client
        if client is None:
            return
        try:
            sent = 0 if self._unsent else client.send(octets, _AT_ONCE_QUIETLY)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._soon.append(self._lose)  # Not at once: the core's other events of this step come first.
            return
        if sent < len(octets):
            self._unsent += octets[sent:]

    def _regulate(self) -> None:
        """Read from the client only what there is room for."""
        client = self._client
        if client is None:
            return
        wanted = _IN if not self._ended and (self._deaf or self._has_room()) else 0
        if self._unsent:
            wanted |= _OUT
        if wanted != self._watched:
            self._watched = wanted
            self._poll.modify(self._client_number, wanted)

    def _has_room(self) -> bool:
        core = self._core
        if core.phase is _HANDSHAKE:
            return False  # What the client says now is not for us.
        return not self._unsent and not self._lagging() and not (core.waiting and core.pending > driving.MANY_OCTETS)

    def _lagging(self) -> bool:
        enqueuer = self._peers.get(self._takes_charge)
        return enqueuer is not None and enqueuer.backlog > driving.FEW_PACKETS

    # --- the core

    def _run(self, step: Callable[..., list[e.Event]], *arguments: Any) -> None:  # noqa: ANN401 - whatever the step takes
        """Let the core take a step and carry out what it wants; after an error of ours the client hears 451."""
        try:
            for event in step(*arguments):
                self._CARRY_OUT[type(event)](self, event)
            self._set_deadline()
            self._regulate()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """Say 451 4.3.0 and hang up: after an error of ours nobody knows what state the conversation is in."""
        self._faults += 1
        number = f"{os.getpid():x}-{self._faults:x}"
        self._note(e.Note("fault", {
            "fault": number.encode(), "error": type(error).__name__.encode(), "where": _where(error).encode(),
        }))  # fmt: skip
        if self._faults > 1:
            raise error  # Even the end went wrong: the process ends here, and with it the conversation.
        self._run(self._core.break_off, replies.fault(number))

    def _set_deadline(self) -> None:
        """Time runs while the client must speak, and begins anew with each command or piece of content, not each octet."""
        core = self._core
        if core.waiting or self._lagging():
            self._deadline, self._steps_seen = inf, -1
        elif core.steps != self._steps_seen and not self._deaf:
            self._steps_seen = core.steps
            self._deadline = self._now() + core.patience_seconds

    def _send(self, event: e.Send) -> None:
        self._send_octets(event.octets)

    def _ask(self, event: e.Ask) -> None:
        self._tag += 1
        self._asked[self._tag] = (event.number, self._now() + driving.DIRECTORY_SECONDS)
        if not self._tell("directory", driving.question(self._tag, self._accepted, event)):
            tag = self._tag
            self._soon.append(lambda: self._judge(tag, None))

    def _hear_directory(self, answer: m.Message) -> None:
        assert isinstance(answer, m.Verdict)
        self._judge(answer.tag, answer)

    def _judge(self, tag: int, answer: m.Message | None) -> None:
        """The directory's answer to the question *tag*; None: it gives none."""
        asked = self._asked.pop(tag, None)
        if asked is None:
            return
        verdict = driving.verdict(answer)
        if driving.waits_first(verdict):
            self._tarpit.append((self._now() + self._tarpit_seconds, asked[0], verdict))
        else:
            self._run(self._core.verdict, asked[0], verdict)

    def _offer(self, event: e.Offer) -> None:
        self._tag += 1
        self._offered = self._tag
        for message in driving.offers(self._tag, self._accepted, event):
            if not self._tell(self._takes_charge, message):
                self._offered = 0
                self._soon.append(lambda: self._conclude(replies.TRY_LATER))
                return

    def _pass_block(self, event: e.Block) -> None:
        if not self._offered:
            return  # The enqueuer is away; the answer to that is on its way to the core.
        self._tell(self._takes_charge, m.Content(self._offered, event.last, event.octets))
        if event.last:
            self._conclusion_by = self._now() + driving.ENQUEUER_SECONDS

    def _hear_enqueuer(self, answer: m.Message) -> None:
        assert isinstance(answer, m.Taken | m.Declined)
        if answer.tag != self._offered:
            return  # It was withdrawn meanwhile.
        if isinstance(answer, m.Taken):
            self._offered, self._conclusion_by = 0, inf
            self._run(self._core.taken, answer.queue_id)
        else:
            self._conclude(replies.declined(answer.reply_code, answer.status, answer.text))

    def _conclude(self, reply: Reply) -> None:
        self._offered, self._conclusion_by = 0, inf
        self._run(self._core.declined, reply)

    def _withdraw(self, _event: e.Withdraw) -> None:
        if self._offered:
            self._tell(self._takes_charge, m.Withdraw(self._offered))
            self._offered, self._conclusion_by = 0, inf

    def _log_in(self, event: e.LogIn) -> None:
        self._login_tag += 1
        self._ask_authenticator(driving.log_in(self._login_tag, self._accepted, event))

    def _begin_scram(self, event: e.ScramBegin) -> None:
        self._login_tag += 1
        self._ask_authenticator(driving.scram_begin(self._login_tag, self._accepted, event))

    def _end_scram(self, event: e.ScramEnd) -> None:
        message = m.ScramEnd(self._login_tag, event.final)
        if event.final:
            self._ask_authenticator(message)
        else:
            self._login_by = inf
            self._tell("authenticator", message)

    def _ask_sender(self, event: e.AskSender) -> None:
        self._login_tag += 1
        self._ask_authenticator(driving.may_use(self._login_tag, self._accepted, event))

    def _ask_authenticator(self, question: m.Message) -> None:
        self._login_by = self._now() + driving.AUTHENTICATOR_SECONDS
        if not self._tell("authenticator", question):
            self._soon.append(lambda: self._hear_authenticator(None))

    def _hear_authenticator(self, answer: m.Message | None) -> None:
        """What it says; None: it does not, or not in time."""
        if self._login_by == inf or getattr(answer, "tag", self._login_tag) != self._login_tag:
            return  # Nobody waits for it any more.
        self._login_by = inf
        if self._core.phase is Phase.SENDER:
            self._run(self._core.sender_judged, driving.sender_answer(answer))
        elif isinstance(answer, m.ScramChallenge):
            self._run(self._core.challenged, answer.text)
        else:
            self._run(self._core.logged_in, driving.login_answer(answer))

    def _start_tls(self, _event: e.StartTls) -> None:
        if self._client is not None and not self._unsent:
            self._hand_over(self._client)

    def _hand_over(self, client: socket.SocketType) -> None:
        """The client's socket to tls, once the 220 has left. Closed here, it lives on there: nobody shuts it down."""
        self._secured_by = self._now() + driving.TLS_SECONDS
        request = m.Secure(0, self._accepted.session, self._accepted.service)
        if not self._tell("tlsspawn", request, client.fileno()):
            self._soon.append(lambda: self._hear_tls(None))
        self._close()

    def _hear_tls(self, answer: m.Message | None, descriptor: int = -1) -> None:
        """What became of the handshake; None: nobody knows."""
        self._secured_by = inf
        if not isinstance(answer, m.Secured):
            self._run(self._core.lost)
            return
        plain = socket.SocketType(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=descriptor)
        if self._core.phase is not _HANDSHAKE:
            plain.close()  # We ended meanwhile; tls tells the client.
            return
        self._client, self._client_number, self._watched = plain, descriptor, 0
        self._poll.register(descriptor, 0)
        self._run(self._core.secured, answer.tls)

    def _note(self, event: e.Note) -> None:
        accepted = self._accepted
        self._tell(
            "journal", event_of(event.name, {"session": accepted.session, "client": accepted.client, **event.pairs})
        )

    def _hang_up(self, event: e.HangUp) -> None:
        self._asked.clear()
        self._tarpit.clear()
        client = self._client
        if client is None:
            return
        if not event.unasked and not self._unsent:
            self._close()
            return
        self._deaf = True
        self._deadline = self._now() + driving.LINGER_SECONDS
        if not self._unsent:
            _say_no_more(client)

    _CARRY_OUT: ClassVar[dict[type, Callable[["Cell", Any], None]]] = {
        e.Send: _send,
        e.Ask: _ask,
        e.Offer: _offer,
        e.Block: _pass_block,
        e.Withdraw: _withdraw,
        e.StartTls: _start_tls,
        e.LogIn: _log_in,
        e.ScramBegin: _begin_scram,
        e.ScramEnd: _end_scram,
        e.AskSender: _ask_sender,
        e.Note: _note,
        e.HangUp: _hang_up,
    }

    # Whom each peer's messages are for.
    _HEAR: ClassVar[dict[str, Callable[..., None]]] = {
        "directory": _hear_directory,
        "enqueuer": _hear_enqueuer,
        "submitter": _hear_enqueuer,
        "tlsspawn": _hear_tls,
        "authenticator": _hear_authenticator,
    }

    # --- the peers

    def _tell(self, name: str, message: m.Message, *descriptors: int) -> bool:
        """False when the peer is away."""
        channel = self._peers.get(name)
        if channel is None or channel.closed:
            return False
        try:
            channel.send(message, descriptors)
        except ChannelClosed:
            return False
        return True

    def _lose_peer(self, channel: Channel) -> None:
        """A peer's channel closed: there will be no other in this conversation. What it owed is answered now."""
        if channel is self._peers.get("directory"):
            for tag in list(self._asked):
                self._judge(tag, None)
        elif channel is self._peers.get(self._takes_charge) and self._offered:
            self._conclude(replies.TRY_LATER)
        elif channel is self._peers.get("authenticator"):
            self._hear_authenticator(None)
        elif channel is self._peers.get("tlsspawn"):
            self._core.tls_away = True
            if self._secured_by < inf:
                self._hear_tls(None)
        self._regulate()

    def _say_the_rest(self, channel: Channel) -> None:
        deadline = self._now() + LAST_WORDS_SECONDS
        while channel.backlog and self._now() < deadline:
            waiting = select.poll()
            waiting.register(channel.fileno(), select.POLLOUT)
            waiting.poll(1000 * LAST_WORDS_SECONDS)
            try:
                channel.flush()
            except ChannelClosed:
                break


def _say_no_more(client: socket.SocketType) -> None:
    try:
        client.shutdown(socket.SHUT_WR)
    except OSError:
        return  # It is gone; the next look at it says so.


def _where(error: BaseException) -> str:
    """File, line and function of the innermost frames; not the message, which may hold what a client said."""
    frames, trace = [], error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return " < ".join(reversed(frames[-3:]))
