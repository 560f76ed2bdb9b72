"""One smtpd or submissiond process: its conversations, its peers, its clock.

A reader would otherwise get wrong: there is one timer for all conversations. Each carries its deadline, and a sweep every
second looks at them; a timer of its own for each command would cost more than the command.
"""

import asyncio
import contextlib
import functools
import os
import socket
from collections.abc import Mapping

from mta import roster
from mta.shells.peers import AsyncioChannels, Conversations
from mta.shells.session import Session, where
from mta.smtp import driving
from mta.smtp.driving import AUTHENTICATOR_SECONDS, DIRECTORY_SECONDS, ENQUEUER_SECONDS, STOP_SECONDS, TLS_SECONDS
from mta.smtp.server import Policy
from mta.wire import messages as m
from mta.wire.channel import Channel, ChannelClosed, Packet
from mta.wire.control import Peers, Start

SWEEP_SECONDS = 1.0
LAST_WORDS_SECONDS = 0.2  # for the replies to leave
RETIRE_SECONDS = 60.0  # for conversations to end by themselves before a process that retires hurries them


class Worker:
    """What all conversations of this process share."""

    def __init__(self, role: roster.Role, start: Start, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        servers = roster.servers_of(role)
        self._submits = "authenticator" in servers  # by users, who log in
        self._takes_charge = "submitter" if "submitter" in servers else "enqueuer"
        self.now = loop.time
        self.done: asyncio.Future[None] = loop.create_future()  # there is nothing left to do
        self.stopping = False
        self.sessions: set[Session] = set()
        self._faults = 0
        self._served = 0
        self.tls_away = True  # there is nobody to make a handshake
        self._starttls = False  # what tls said last, whether it may be offered
        self._plain_end: socket.socket | None = None
        self._retired = False  # the listener has said that nobody comes any more
        self._settings = dict(start.settings)
        self._heed_settings({})
        channels = AsyncioChannels(loop)
        channels.drained = self._drained
        handlers = {
            "listener": self._heed_listener, "directory": self._hear_directory, self._takes_charge: self._hear_enqueuer,
            "tls": self._hear_tls, "authenticator": self._hear_authenticator,
        }  # fmt: skip
        self.peers = Peers(
            role, start, channels, handlers,
            lost=self._lost, found=self._found, reload=self._heed_settings, stop=self.stop,
        )  # fmt: skip
        self.directory = Conversations(self.peers, "directory", DIRECTORY_SECONDS)
        self.enqueuer = Conversations(self.peers, self._takes_charge, ENQUEUER_SECONDS)
        self.authenticator = Conversations(self.peers, "authenticator", AUTHENTICATOR_SECONDS)
        self.tls = Conversations(self.peers, "tls", TLS_SECONDS)
        self._sweep()

    def note(self, session: Session, name: str, pairs: Mapping[str, bytes | int]) -> None:
        """Tell the journal what was decided in *session*."""
        self.peers.event(name, session=session.accepted.session, client=session.accepted.client, **pairs)

    def fault(self, session: Session, error: Exception) -> str:
        """Tell the journal of an error of ours; answers the number under which it stands there."""
        self._faults += 1
        number = f"{os.getpid():x}-{self._faults:x}"
        kind, place = type(error).__name__, where(error)
        self.note(session, "fault", {"fault": number.encode(), "error": kind.encode(), "where": place.encode()})
        return number

    def ended(self, session: Session) -> None:
        """A conversation is over: the listener counts one less for its client."""
        self.sessions.discard(session)
        with contextlib.suppress(ChannelClosed):  # A new listener has counted from zero.
            session.listener.send(m.Finished(session.accepted.session))
        if not self.sessions and (self.stopping or self._retired):
            self._leave()

    def stop(self) -> None:
        """Finish what is in hand and end."""
        if self.stopping:
            return
        self.stopping = True
        for session in list(self.sessions):
            session.wind_up()
        if not self.sessions:
            self._leave()
        self.loop.call_later(STOP_SECONDS, self._break_off)

    def _retire(self) -> None:
        """The listener lets us go: whoever is here may finish, and then we end."""
        self._retired = True
        if self.sessions:
            self.loop.call_later(RETIRE_SECONDS, self._hurry)
        else:
            self._leave()

    def _hurry(self) -> None:
        for session in list(self.sessions):
            session.wind_up()

    def _break_off(self) -> None:
        for session in list(self.sessions):
            session.break_off()
        self.loop.call_later(LAST_WORDS_SECONDS, self._leave)

    def _leave(self) -> None:
        self.stopping = True
        if not self.done.done():
            self.done.set_result(None)

    def _heed_settings(self, settings: Mapping[str, bytes]) -> None:
        """For conversations that begin from now on."""
        self._settings.update(settings)
        self.policy = driving.policy(self._settings, starttls=self._starttls, submission=self._submits)
        self._local_policy = driving.policy(self._settings)
        self.tarpit_seconds = driving.tarpit_seconds(self._settings)
        # A process that met ten thousand strangers has been shown a lot; a fresh one has nothing to remember.
        self._replace_after = self._number("limits.conversations_per_worker", 10_000)

    def policy_of(self, accepted: m.Accepted) -> Policy:
        """What holds for a conversation that begins now."""
        return self._local_policy if accepted.service == driving.LOCAL else self.policy

    def _number(self, name: str, default: int) -> int:
        value = self._settings.get(name)
        return default if value is None else int(value)

    # --- peers

    def _heed_listener(self, listener: Channel, packet: Packet) -> None:
        message, descriptors = packet
        if isinstance(message, m.Accepted):
            self._accept(listener, message, descriptors[0])
        else:
            self._retire()

    def _accept(self, listener: Channel, accepted: m.Accepted, descriptor: int) -> None:
        client = socket.socket(driving.family_of(accepted), socket.SOCK_STREAM, 0, fileno=descriptor)
        session = Session(self, accepted, listener)
        self.sessions.add(session)
        self._served += 1
        if self._served % self._replace_after == 0:
            self._ask_to_retire(listener)
        if accepted.service == driving.IMPLICIT_TLS:
            session.begin_with_tls(client)
        else:
            self.connect(session, client)

    def connect(self, session: Session, sock: socket.socket) -> None:
        """Put *session* on the loop, with *sock*."""
        connecting = self.loop.create_task(self.loop.connect_accepted_socket(lambda: session, sock))
        connecting.add_done_callback(functools.partial(self._connected, session, sock))

    def take_plain_end(self) -> socket.socket | None:
        """The socket that came with the answer of tls which is being heard; it belongs to who takes it."""
        taken, self._plain_end = self._plain_end, None
        return taken

    def _connected(self, session: Session, client: socket.socket, connecting: asyncio.Task[object]) -> None:
        error = None if connecting.cancelled() else connecting.exception()
        if isinstance(error, Exception):
            client.close()
            if session in self.sessions:
                self.fault(session, error)
                self.ended(session)

    def _ask_to_retire(self, listener: Channel) -> None:
        # Not simply to leave: clients whose sockets are on their way to us would be lost with us.
        with contextlib.suppress(ChannelClosed):  # A new listener is asked as soon as it is found.
            listener.send(m.Retire())

    def _found(self, channel: Channel) -> None:
        if channel.peer == "listener" and self._served >= self._replace_after:
            self._retired = False  # A new listener knows nothing of what the former one said.
            self._ask_to_retire(channel)

    def _hear_directory(self, _directory: Channel, packet: Packet) -> None:
        answer = packet[0]
        assert isinstance(answer, m.Verdict)
        self.directory.hear(answer.tag, answer)

    def _hear_enqueuer(self, _enqueuer: Channel, packet: Packet) -> None:
        answer = packet[0]
        assert isinstance(answer, m.Taken | m.Declined)
        self.enqueuer.hear(answer.tag, answer)

    def _hear_authenticator(self, _authenticator: Channel, packet: Packet) -> None:
        answer = packet[0]
        assert isinstance(answer, m.LoggedIn | m.ScramChallenge | m.ScramDone | m.Using)
        self.authenticator.hear(answer.tag, answer)

    def _hear_tls(self, _tls: Channel, packet: Packet) -> None:
        answer, descriptors = packet
        if isinstance(answer, m.Offering):
            self._starttls = answer.yes
            self._heed_settings({})
            self._set_tls_away(not answer.yes)
            return
        assert isinstance(answer, m.Secured | m.NotSecured)
        if descriptors:
            self._plain_end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=descriptors[0])
        self.tls.hear(answer.tag, answer)
        unwanted = self.take_plain_end()
        if unwanted is not None:
            unwanted.close()  # Whoever asked has given up.

    def _set_tls_away(self, away: bool) -> None:
        self.tls_away = away
        for session in self.sessions:
            session.set_tls_away(away)

    def _lost(self, channel: Channel) -> None:
        if channel.peer == "tls" and self.peers.to("tls") is None:
            self._set_tls_away(True)
        self.tls.lost(channel)
        self.directory.lost(channel)
        self.enqueuer.lost(channel)
        self.authenticator.lost(channel)
        self._drained(channel)  # Nothing waits for it any more.

    def _drained(self, channel: Channel) -> None:
        for session in list(self.sessions):
            session.caught_up(channel)

    # --- time

    def _sweep(self) -> None:
        now = self.now()
        self.directory.expire(now)
        self.enqueuer.expire(now)
        self.tls.expire(now)
        self.authenticator.expire(now)
        for session in list(self.sessions):
            if session.deadline < now:
                session._timeout_cb()  # noqa: SLF001 - aiosmtpd's name for it
            session.check_age(now)
        self.loop.call_later(SWEEP_SECONDS, self._sweep)
