"""The shell around one conversation: a client's socket on one side, the peers on the other, the core in the middle.

A reader would otherwise get wrong: of aiosmtpd's `SMTP` we keep the place in the program (the asyncio protocol that owns
the connection) and replace its methods. Its own conversation is a coroutine that reads lines; here octets go to the core
as they arrive, because that cures in one stroke what its way of reading brings: lines with a limit, content kept line by
line and twice, a timer for all phases, end of file that cancels a commit under way, exceptions told to the client. Every
conversation also costs less than the coroutine alone would. What is overridden exists in aiosmtpd under the same name;
tests/mta/shells/test_aiosmtpd.py holds it to that.
"""

import asyncio
import contextlib
import functools
import math
import socket
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, cast

from aiosmtpd.smtp import SMTP

from mta.smtp import driving, replies
from mta.smtp import events as e
from mta.smtp.driving import FEW_PACKETS, LINGER_SECONDS, MANY_OCTETS
from mta.smtp.replies import Reply
from mta.smtp.server import Phase, Server
from mta.wire import messages as m
from mta.wire.channel import Channel, ChannelClosed

if TYPE_CHECKING:
    from mta.shells.worker import Worker

FLUSH_SECONDS = 0.005  # between two looks whether a 220 has left


class Session(SMTP):
    """One client's conversation."""

    def __init__(self, worker: "Worker", accepted: m.Accepted, listener: Channel) -> None:
        # Not SMTP.__init__: it asks the resolver for our own name, walks dir() of itself three times (70 us) and clears
        # a dict that all sessions share. Nothing that it sets up is used by the methods below.
        self.accepted = accepted
        self.listener = listener
        self.transport: asyncio.Transport | None = None
        self.deadline = math.inf
        self._worker = worker
        self._core = Server(worker.policy_of(accepted), implicit_tls=accepted.service == driving.IMPLICIT_TLS)
        self._core.tls_away = worker.tls_away
        self._tls = b""  # version and cipher, once tls has told them
        self._session_seconds = worker.policy.session_seconds
        self._born = worker.now()
        self._steps_seen = -1
        self._question_tags: dict[int, int] = {}
        self._offer: tuple[Channel, int] | None = None
        self._scram: tuple[Channel, int] | None = None  # where the log-in under way is known
        self._deaf = False  # we hung up, and read only to throw away
        self._lagging: Channel | None = None  # a peer that must catch up before we read on
        self._client_reads = True
        self._reading = True

    def __del__(self) -> None:
        """The inherited one looks at futures that we never make."""

    # --- from asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is on the loop: greet."""
        self.transport = cast("asyncio.Transport", transport)
        if self._tls:
            self._run(self._core.secured, self._tls)
        elif not self._worker.stopping:
            self._run(self._core.greet)
        if self._worker.stopping:
            self.wind_up()  # RFC 5321 3.1: 421 may stand in the place of the greeting

    def data_received(self, data: bytes) -> None:
        """The client said something."""
        if not self._deaf:
            self._run(self._core.receive, data)

    def eof_received(self) -> bool:
        """The client says no more. A commit under way goes on, and so does our side of the connection: hence True."""
        if self._deaf:
            self._close()
        else:
            self._run(self._core.end_of_input)
        return True

    def connection_lost(self, _error: Exception | None) -> None:
        """The connection is gone, by us or by the client."""
        self.transport = None
        self.deadline = math.inf
        self._run(self._core.lost)
        self._worker.ended(self)

    def pause_writing(self) -> None:
        """The client does not read our replies: no more commands from it until it does."""
        self._client_reads = False
        self._regulate()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._client_reads = True
        self._regulate()

    # --- from the worker

    def _timeout_cb(self) -> None:
        """The deadline is past."""
        if self._deaf:
            self._close()
        else:
            self._run(self._core.break_off, replies.TIMED_OUT)

    def check_age(self, now: float) -> None:
        """End a conversation that lasts too long: politely first."""
        age, limit = now - self._born, self._session_seconds
        if age > 2 * limit:  # a message in hand has had the time that a whole conversation has
            self._run(self._core.break_off, replies.SESSION_TOO_LONG)
        elif age > limit:
            self._run(self._core.wind_up, replies.SESSION_TOO_LONG)

    def wind_up(self) -> None:
        """We are stopping: finish what is in hand, take nothing new."""
        if self.transport is not None:  # else `connection_made` is still to come
            self._run(self._core.wind_up, replies.STOPPING)

    def break_off(self) -> None:
        """We are stopping, and the time to finish is over."""
        self._run(self._core.break_off, replies.STOPPING)

    def set_tls_away(self, away: bool) -> None:
        """Is there nobody to make a handshake?"""
        self._core.tls_away = away

    def caught_up(self, channel: Channel) -> None:
        """A peer that lagged has read what waited for it."""
        if self._lagging is channel:
            self._lagging = None
            self._regulate()

    # --- the core's events

    def _run(self, step: Callable[..., list[e.Event]], *arguments: Any) -> None:  # noqa: ANN401 - whatever the step takes
        """Let the core take a step and carry out what it wants; no error of ours reaches another conversation."""
        try:
            for event in step(*arguments):
                self._CARRY_OUT[type(event)](self, event)
            self._set_deadline()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and the client hears 451
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """Say 451 4.3.0 and hang up: after an error of ours nobody knows what state the conversation is in."""
        number = self._worker.fault(self, error)
        if self.transport is None:
            return
        try:
            for event in self._core.break_off(replies.fault(number)):
                self._CARRY_OUT[type(event)](self, event)
        except Exception as again:  # noqa: BLE001 - as above
            self._worker.fault(self, again)
            self.transport.abort()

    def _set_deadline(self) -> None:
        """Time runs while the client must speak, and begins anew with each command or piece of content, not each octet."""
        core = self._core
        if core.waiting or self._lagging is not None or core.phase is Phase.HANDSHAKE:
            self.deadline, self._steps_seen = math.inf, -1
            if core.pending > MANY_OCTETS:
                self._regulate()
        elif core.steps != self._steps_seen and not self._deaf:
            self._steps_seen = core.steps
            self.deadline = self._worker.now() + core.patience_seconds
            if not self._reading:
                self._regulate()

    def _regulate(self) -> None:
        """Read from the client only what there is room for."""
        core, transport = self._core, self.transport
        if core.phase is Phase.HANDSHAKE:
            return  # What the client says now is not for us.
        reading = self._client_reads and self._lagging is None and not (core.waiting and core.pending > MANY_OCTETS)
        reading = reading or self._deaf
        if reading is self._reading or transport is None or transport.is_closing():
            return
        self._reading = reading
        if reading:
            transport.resume_reading()
        else:
            transport.pause_reading()
        self._set_deadline()

    def _send(self, event: e.Send) -> None:
        if self.transport is not None:
            self.transport.write(event.octets)

    def _ask(self, event: e.Ask) -> None:
        worker = self._worker
        begun = worker.directory.begin(worker.now(), functools.partial(self._hear_verdict, event.number))
        if begun is None:
            # Not at once: the core's other events of this step come first.
            worker.loop.call_soon(self._judge, event.number, driving.TRY_LATER)
            return
        channel, tag = begun
        self._question_tags[event.number] = tag
        _say(channel, driving.question(tag, self.accepted, event))

    def _hear_verdict(self, number: int, answer: m.Message | None) -> None:
        self._question_tags.pop(number, None)
        verdict = driving.verdict(answer)
        if driving.waits_first(verdict):
            self._worker.loop.call_later(self._worker.tarpit_seconds, self._judge, number, verdict)
        else:
            self._judge(number, verdict)

    def _judge(self, number: int, verdict: e.Verdict) -> None:
        self._run(self._core.verdict, number, verdict)

    def _offer_message(self, event: e.Offer) -> None:
        self._offer = self._worker.enqueuer.begin(math.inf, self._hear_conclusion)
        if self._offer is None:
            self._worker.loop.call_soon(self._conclude, replies.TRY_LATER)
            return
        channel, tag = self._offer
        for message in driving.offers(tag, self.accepted, event):
            _say(channel, message)

    def _pass_block(self, event: e.Block) -> None:
        if self._offer is None:
            return  # The enqueuer is away; the answer to that is on its way to the core.
        channel, tag = self._offer
        _say(channel, m.Content(tag, event.last, event.octets))
        if event.last:
            self._worker.enqueuer.expect(tag, self._worker.now())
        elif channel.backlog > FEW_PACKETS:
            self._lagging = channel
            self._regulate()

    def _hear_conclusion(self, answer: m.Message | None) -> None:
        offer, self._offer = self._offer, None
        if isinstance(answer, m.Taken):
            self._run(self._core.taken, answer.queue_id)
        elif isinstance(answer, m.Declined):
            self._conclude(replies.declined(answer.reply_code, answer.status, answer.text))
        else:
            if offer is not None:
                _say(offer[0], m.Withdraw(offer[1]))  # Too slow rather than away: it should not take it now.
            self._conclude(replies.TRY_LATER)

    def _conclude(self, reply: Reply) -> None:
        self._run(self._core.declined, reply)

    def _withdraw(self, _event: e.Withdraw) -> None:
        offer, self._offer = self._offer, None
        if offer is not None:
            self._worker.enqueuer.forget(offer[1])
            _say(offer[0], m.Withdraw(offer[1]))

    def _log_in(self, event: e.LogIn) -> None:
        worker = self._worker
        begun = worker.authenticator.begin(worker.now(), self._hear_login)
        if begun is None:
            worker.loop.call_soon(self._hear_login, None)
        else:
            _say(begun[0], driving.log_in(begun[1], self.accepted, event))

    def _begin_scram(self, event: e.ScramBegin) -> None:
        worker = self._worker
        self._scram = worker.authenticator.begin(worker.now(), self._hear_login)
        if self._scram is None:
            worker.loop.call_soon(self._hear_login, None)
        else:
            channel, tag = self._scram
            _say(channel, driving.scram_begin(tag, self.accepted, event))

    def _end_scram(self, event: e.ScramEnd) -> None:
        scram, self._scram = self._scram, None
        if scram is None:
            return  # It was away when we began, and the core has heard so.
        channel, tag = scram
        worker = self._worker
        if not event.final:
            worker.authenticator.forget(tag)
        elif not worker.authenticator.go_on(channel, tag, worker.now(), self._hear_login):
            worker.loop.call_soon(self._hear_login, None)
        _say(channel, m.ScramEnd(tag, event.final))

    def _hear_login(self, answer: m.Message | None) -> None:
        if isinstance(answer, m.ScramChallenge):
            self._run(self._core.challenged, answer.text)
        else:
            self._run(self._core.logged_in, driving.login_answer(answer))

    def _ask_sender(self, event: e.AskSender) -> None:
        worker = self._worker
        begun = worker.authenticator.begin(worker.now(), self._hear_sender)
        if begun is None:
            worker.loop.call_soon(self._hear_sender, None)
        else:
            _say(begun[0], driving.may_use(begun[1], self.accepted, event))

    def _hear_sender(self, answer: m.Message | None) -> None:
        self._run(self._core.sender_judged, driving.sender_answer(answer))

    def _start_tls(self, _event: e.StartTls) -> None:
        if self.transport is not None:
            # At once: its first octets of TLS must stay in the kernel, for tls to read.
            self.transport.pause_reading()
            self._reading = False
            self._hand_over(self.transport, self._worker.now() + driving.TLS_SECONDS)

    def _hand_over(self, transport: asyncio.Transport, deadline: float) -> None:
        """The client's socket to tls, as soon as the 220 has left."""
        worker = self._worker
        if self.transport is not transport or self._core.phase is not Phase.HANDSHAKE:
            return  # It ended meanwhile.
        if transport.get_write_buffer_size() and worker.now() < deadline:
            worker.loop.call_later(FLUSH_SECONDS, self._hand_over, transport, deadline)
            return
        begun = worker.tls.begin(worker.now(), self._hear_tls)
        if begun is None or transport.get_write_buffer_size():
            self._close()
            return
        self._pass_to_tls(begun, transport.get_extra_info("socket").fileno())
        # Closed here, it lives on there: nobody shuts it down.
        transport.set_protocol(asyncio.Protocol())
        transport.close()
        self.transport = None

    def begin_with_tls(self, client: socket.socket) -> None:
        """Where TLS comes before anything is said: the socket never comes onto the loop."""
        begun = self._worker.tls.begin(self._worker.now(), self._hear_tls)
        if begun is not None:
            self._pass_to_tls(begun, client.fileno())
        client.close()
        if begun is None:
            self._hear_tls(None)  # There is nothing that could be said in the clear.

    def _pass_to_tls(self, begun: tuple[Channel, int], descriptor: int) -> None:
        channel, tag = begun
        with contextlib.suppress(ChannelClosed):  # `Conversations.lost` tells us.
            channel.send(m.Secure(tag, self.accepted.session, self.accepted.service), (descriptor,))

    def _hear_tls(self, answer: m.Message | None) -> None:
        plain = self._worker.take_plain_end()
        if isinstance(answer, m.Secured) and plain is not None and self._core.phase is Phase.HANDSHAKE:
            self._tls, self._reading, self._client_reads = answer.tls, True, True
            self._worker.connect(self, plain)
            return
        if plain is not None:
            plain.close()  # We ended meanwhile; tls tells the client.
        self._run(self._core.lost)
        self._worker.ended(self)

    def _note(self, event: e.Note) -> None:
        self._worker.note(self, event.name, event.pairs)

    def _hang_up(self, event: e.HangUp) -> None:
        for tag in self._question_tags.values():
            self._worker.directory.forget(tag)
        if self.transport is None:
            return
        if event.unasked and not self.transport.is_closing():
            self._deaf = True
            self.transport.write_eof()
            self._regulate()
            self.deadline = self._worker.now() + LINGER_SECONDS
        else:
            self._close()

    def _close(self) -> None:
        self.deadline = math.inf
        if self.transport is not None:
            self.transport.close()

    _CARRY_OUT: ClassVar[dict[type, Callable[["Session", Any], None]]] = {
        e.Send: _send,
        e.Ask: _ask,
        e.Offer: _offer_message,
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


def where(error: BaseException) -> str:
    """File, line and function of the innermost frames; not the message, which may hold what a client said."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    return " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in reversed(frames))


def _say(channel: Channel, message: m.Message) -> None:
    try:
        channel.send(message)
    except ChannelClosed:
        return  # Whoever waits for an answer over it is told by `Conversations.lost`.
