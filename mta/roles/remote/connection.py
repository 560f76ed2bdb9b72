"""One connection to one host: TCP, TLS where it is wanted, hello, log-in, and then one transaction after the other.

A reader would otherwise get wrong: time runs for each *answer*, not for each octet, so a host that dribbles gains nothing;
and while content is sent, for each time that the host takes some of it.
"""

import base64
import errno
import os
import select
import socket
import ssl
import time
from collections.abc import Callable
from typing import Final, Protocol

from mta.record import dataclass
from mta.roles.remote.hosts import Host
from mta.roles.remote.outcome import Outcome, delayed, failed, of_reply
from mta.roles.remote.security import Level, Security
from mta.roles.remote.transaction import Transaction
from mta.smtp.client import Answered, Broken, Client, Command, Kind, Phase, Ready, Reply
from mta.streams import Dialled
from mta.vocabulary import Action
from mta.wire.loop import Loop

READ: Final = 16 * 1024
CONNECT_SECONDS: Final = 30.0
BLOCK_SECONDS: Final = 180.0  # RFC 5321 4.5.3.2.5
LEAVE_SECONDS: Final = 5.0  # for the answer to QUIT
MAX_SECONDS: Final = 900.0  # from the first word to the content; each answer has its own, but there may be many of them
SUBMISSIONS_PORT: Final = 465  # of a route: TLS from the first octet (RFC 8314 3.3)

_STARTTLS: Final = Command(Kind.STARTTLS, b"STARTTLS")
_QUIT: Final = Command(Kind.QUIT, b"QUIT")
_BLOCKS_AT_ONCE: Final = 16  # of one message's content; then the other connections have their turn


@dataclass(frozen=True, slots=True)
class Manner:
    """How we speak to every host of this destination."""

    own_name: bytes
    lmtp: bool = False
    login: bytes = b""
    password: bytes = b""
    source_address: str = ""
    may_be_us: bool = False  # a test, or a route, may lead to this machine


class User(Protocol):
    """Who has the connection."""

    def ready(self, connection: "Connection") -> None:
        """It can take a message."""

    def concluded(self, connection: "Connection", transaction: Transaction) -> None:
        """All is said about the one that it had."""

    def over(self, connection: "Connection", outcome: Outcome) -> None:
        """It ended; *outcome* says why, and how grave that is for the host. Told once, and after `concluded`."""


class Connection(Dialled):
    """To *host*. Whatever happens is told to *user* from the loop, never from here."""

    def __init__(
        self, loop: Loop, host: Host, security: Security, manner: Manner, user: User,
        now: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        super().__init__(loop)
        self.host, self.security = host, security
        self.taken = 0  # messages that it was given
        self.is_proven = False  # a transaction came to its end, whatever it was
        self.is_ready = False
        self.idle_since = 0.0
        self.tls_failed = ""  # why the handshake did not succeed: in the clear it might
        self._manner, self._user, self._now = manner, user, now
        self._client = Client(manner.own_name, lmtp=manner.lmtp)
        self._transaction: Transaction | None = None
        self._must_reset = False
        self._tls: ssl.SSLObject | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._is_shaking = False
        self._is_leaving = False
        self._unsent = b""
        self._deadline = now() + CONNECT_SECONDS
        self._end_by = float("inf")
        self._steps = -1
        self._lines: list[bytes] = []  # of the log-in, that the host will ask for
        self._wanted = select.EPOLLOUT
        self._begin_to_connect()

    @property
    def described(self) -> bytes:
        """The host, for Remote-MTA."""
        return self.host.described

    @property
    def protection(self) -> bytes:
        """Version and cipher, or nothing."""
        if self._tls is None or self._is_shaking:
            return b""
        cipher = self._tls.cipher()
        return b"%b %b" % ((self._tls.version() or "").encode(), (cipher[0] if cipher else "").encode())

    @property
    def transaction(self) -> Transaction | None:
        """What it is about."""
        return self._transaction

    @property
    def is_coming(self) -> bool:
        """It may be ready soon, for the first time."""
        return not self.is_ready and not self.taken and not self._is_leaving

    # --- what the user does

    def transact(self, transaction: Transaction) -> None:
        """Carry *transaction*, which was made over our `client`."""
        self._transaction, self.is_ready = transaction, False
        self.taken += 1
        transaction.must_reset, self._must_reset = self._must_reset, False
        self._end_by = self._now() + MAX_SECONDS
        transaction.begin()
        self._say()
        if transaction.is_over and not self.is_over:  # Nothing had to be said.
            self._loop.call_later(0.0, self._look)

    @property
    def client(self) -> Client:
        """The conversation."""
        return self._client

    def leave(self) -> None:
        """Say QUIT; it is over a little later."""
        self.is_ready = False
        if self._client.phase is Phase.READY and self._client.is_idle:
            self._is_leaving = True
            self._client.ask(_QUIT)
            self._say()
            self._deadline, self._steps = self._now() + LEAVE_SECONDS, self._client.steps
        else:
            self.abandon(delayed(b"4.4.2", b"given up"))

    def abandon(self, outcome: Outcome) -> None:
        """Hang up, whatever is under way."""
        self._end(outcome, Broken(outcome.words.decode()))

    def heed_time(self) -> None:
        """Has an answer, or the whole, taken too long?"""
        now = self._now()
        if self._client.steps != self._steps and self._is_open and not self._unsent:
            self._renew_deadline()
        in_content = self._transaction is not None and (self._transaction.in_transfer or self._transaction.is_end_sent)
        if self._deadline <= now or (self._end_by <= now and not in_content):
            self._time_out()

    # --- TCP

    def _begin_to_connect(self) -> None:
        """Begin; what fails at once is told from the loop."""
        host, source = self.host, self._manner.source_address
        is_of_its_kind = (":" in source) == (":" in host.address)
        try:
            self._dial((host.address, host.port), source if is_of_its_kind else "")
        except OSError as error:
            number = error.errno or 0
            self._loop.call_later(0.0, lambda: self._fell(number))

    def _fell(self, error: int) -> None:
        why = os.strerror(error).encode()
        if error == errno.EADDRNOTAVAIL and self._manner.source_address:
            why = b"this machine has no address " + self._manner.source_address.encode()
        self._end(delayed(b"4.4.1", b"no connection: " + why), None)

    def _stood(self) -> None:
        sock = self._socket
        assert sock is not None
        if not self._manner.may_be_us and not self.host.is_fixed and sock.getsockname()[0] == sock.getpeername()[0]:
            # From an address to the same address: whichever it is, it is ours.
            self._end(failed(b"5.4.6", b"its mail would come back to this host"), None)
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._renew_deadline()
        self._want(select.EPOLLIN)
        if self.host.is_fixed and self.host.port == SUBMISSIONS_PORT and self.security.level is not Level.NONE:
            self._shake_hands()

    def _want(self, events: int) -> None:
        if events != self._wanted and self._socket is not None:
            self._wanted = events
            self._loop.watch(self._socket.fileno(), events, self._happened)

    def _receive(self) -> None:
        assert self._socket is not None
        try:
            octets = self._socket.recv(READ)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(os.strerror(error.errno or 0))
            return
        if not octets:
            self._lost("the host hung up")
        elif self._tls is None:
            self._hear(octets)
        else:
            self._incoming.write(octets)
            if self._is_shaking:
                self._go_on_shaking()
            if not self._is_shaking and not self.is_over:
                self._decrypt()

    def _say(self) -> None:
        """Send what the client has to say."""
        octets = self._client.take()
        if octets:
            self._send(octets)

    def _send(self, octets: bytes) -> None:
        if self._cover(octets):
            self._flush()

    def _cover(self, octets: bytes) -> bool:
        """Put *octets* behind what waits to be sent, under TLS where there is some."""
        if self.is_over:
            return False
        if self._tls is not None:
            try:
                view = memoryview(octets)
                while view:
                    view = view[self._tls.write(view) :]
            except ssl.SSLError as error:
                self._lost("TLS: " + (error.reason or "failed"))
                return False
            octets = self._outgoing.read()
        self._unsent = self._unsent + octets if self._unsent else octets
        return True

    def _flush(self) -> None:
        """Send what waits, and of the content what comes next."""
        for _ in range(_BLOCKS_AT_ONCE):
            if not self._send_waiting():
                return
            transaction = self._transaction
            if transaction is None or not transaction.go_on():
                break
            if not self._cover(self._client.take()):
                return
        else:
            self._want(select.EPOLLIN | select.EPOLLOUT)  # to be called again
            return
        if self._wanted != select.EPOLLIN:
            self._want(select.EPOLLIN)
        if transaction is not None:
            transaction.flushed()
            self._renew_deadline()
            if transaction.junk:
                self._end(delayed(b"4.3.0", transaction.junk.encode(), trouble=False), Broken(transaction.junk))

    def _send_waiting(self) -> bool:
        """Has the kernel taken all that was to be sent?"""
        assert self._socket is not None
        while self._unsent:
            try:
                sent = self._socket.send(self._unsent, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                self._want(select.EPOLLIN | select.EPOLLOUT)
                return False
            except OSError as error:
                self._lost(os.strerror(error.errno or 0))
                return False
            self._unsent = self._unsent[sent:]
            if self._transaction is not None and self._transaction.in_transfer:
                self._deadline, self._steps = self._now() + BLOCK_SECONDS, self._client.steps
        return True

    # --- TLS

    def _shake_hands(self) -> None:
        self._is_shaking = True
        try:
            self._tls = self.security.begin(self._incoming, self._outgoing)
        except ValueError:
            self._refuse_host("it has no name that TLS could ask for")
            return
        self._go_on_shaking()

    def _go_on_shaking(self) -> None:
        assert self._tls is not None
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._send_tls()
            return
        except (ssl.SSLError, ssl.CertificateError, ValueError) as error:
            self._send_tls()
            self._refuse_host(_reason(error))
            return
        why = self.security.judge(self._tls)
        if why:
            self._refuse_host(why)
            return
        self._is_shaking = False
        self.security.note("")
        self._send_tls()
        if self._client.phase is Phase.HANDSHAKE:
            self._client.secured()
            self._say()
        self._renew_deadline()

    def _send_tls(self) -> None:
        octets = self._outgoing.read()
        if octets and not self.is_over:
            self._unsent += octets
            self._flush()

    def _decrypt(self) -> None:
        assert self._tls is not None
        while not self.is_over:
            try:
                octets = self._tls.read(READ)
            except ssl.SSLWantReadError:
                self._send_tls()
                return
            except ssl.SSLError as error:
                self._lost("TLS: " + (error.reason or "failed"))
                return
            if not octets:
                self._lost("the host hung up")
                return
            self._hear(octets)

    def _refuse_host(self, why: str) -> None:
        """No handshake, or not the one that was wanted."""
        self._fail_tls(why)
        self._end(delayed(b"4.7.5", b"TLS: " + why.encode()), None)

    def _fail_tls(self, why: str) -> None:
        self.tls_failed = why
        self.security.note(why)

    # --- the conversation

    def _hear(self, octets: bytes) -> None:
        for event in self._client.receive(octets):
            match event:
                case Ready():
                    self._met()
                case Answered(Command(Kind.QUIT), _):
                    self._end(delayed(b"4.4.2", b"left"), None)
                case Answered(Command(Kind.STARTTLS), _):
                    self._heard_starttls()
                case Answered(Command(Kind.AUTH), reply):
                    self._heard_auth(reply)
                case Answered():
                    if self._transaction is not None:
                        self._transaction.hear(event)
                case Broken(why, reply):
                    self._broken(why, reply, event)
            if self.is_over:
                return
        self._say()
        self._look()

    def _look(self) -> None:
        """Is the transaction over?"""
        transaction = self._transaction
        if transaction is None or self.is_over:
            return
        if transaction.junk:
            self._end(delayed(b"4.5.0", transaction.junk.encode()), Broken(transaction.junk))
        elif transaction.is_over and not self._unsent:
            self._conclude(transaction)

    def _conclude(self, transaction: Transaction) -> None:
        self._transaction, self._end_by, self.is_proven = None, float("inf"), True
        self._must_reset = transaction.leaves_open
        self.idle_since, self.is_ready = self._now(), True
        self._user.concluded(self, transaction)
        if self.is_ready and not self.is_over:
            self._user.ready(self)

    def _met(self) -> None:
        """The host knows us, and we know what it can."""
        said = self._client.greeting.partition(b" ")[0].lower()
        if said == self._manner.own_name.lower() and not self._manner.may_be_us and not self.host.is_fixed:
            self._end(failed(b"5.4.6", b"its mail would come back to this host"), None)
        elif self._tls is None and self.security.level is not Level.NONE and b"STARTTLS" in self._client.extensions:
            self._client.ask(_STARTTLS)
        elif self._tls is None and self.security.level is not Level.NONE:
            self._go_on_in_the_clear("the host does not offer TLS")
        elif self._manner.login:
            self._log_in()
        else:
            self._be_ready()

    def _heard_starttls(self) -> None:
        if self._client.phase is Phase.HANDSHAKE:
            self._shake_hands()
        else:
            self._go_on_in_the_clear("the host refuses TLS")

    def _go_on_in_the_clear(self, why: str) -> None:
        """Where that is allowed."""
        self.security.note(why)
        if self.security.is_demanded:
            self._end(delayed(b"4.7.4", why.encode() + b", and it is demanded"), None)
        elif self._manner.login:
            self._log_in()
        else:
            self._be_ready()

    def _log_in(self) -> None:
        """AUTH PLAIN, or LOGIN (RFC 4954, 4616)."""
        manner, offered = self._manner, self._client.extensions.get(b"AUTH", b"").upper().split()
        if self._tls is None and not self.host.address.startswith("127.") and self.host.address != "::1":
            self._end(delayed(b"4.7.11", b"a log-in is wanted, and the connection is in the clear"), None)
        elif b"PLAIN" in offered:
            secret = base64.b64encode(b"\0%b\0%b" % (manner.login, manner.password))
            self._client.ask(Command(Kind.AUTH, b"AUTH PLAIN " + secret))
        elif b"LOGIN" in offered:
            self._lines = [base64.b64encode(manner.login), base64.b64encode(manner.password)]
            self._client.ask(Command(Kind.AUTH, b"AUTH LOGIN"))
        else:
            self._end(delayed(b"4.7.4", b"a log-in is wanted, and the host offers none that we know"), None)

    def _heard_auth(self, reply: Reply) -> None:
        if reply.code == 334 and self._lines:
            self._client.ask(Command(Kind.AUTH, self._lines.pop(0)))
        elif reply.code == 235:
            self._be_ready()
        else:
            # Whatever it says, it says it of us and not of a message: an operator can mend that.
            self._end(of_reply(reply, trouble=True)._replace(action=Action.DELAYED, status=b"4.7.8"), None)

    def _be_ready(self) -> None:
        self.is_ready, self.idle_since, self._end_by = True, self._now(), float("inf")
        self._user.ready(self)

    # --- time, and the end

    def _renew_deadline(self) -> None:
        self._steps = self._client.steps
        patience = self._client.patience
        self._deadline = self._now() + patience if patience else float("inf")

    def _time_out(self) -> None:
        why = "no connection in time" if not self._is_open else "no answer in time"
        self._end(delayed(b"4.4.1", why.encode()), Broken(why))

    def _lost(self, why: str) -> None:
        if self._is_shaking:
            self._fail_tls(why)
        self._end(delayed(b"4.4.2", why.encode()), Broken(why))

    def _broken(self, why: str, reply: Reply | None, broken: Broken) -> None:
        if reply is None:
            self._end(delayed(b"4.5.0" if "reply" in why else b"4.4.2", why.encode()), broken)
        else:
            outcome = of_reply(reply, trouble=True)
            if reply.code == 521:  # RFC 7504: it takes no mail at all
                outcome = outcome._replace(status=reply.status or b"5.3.2")
            self._end(outcome, broken)

    def _end(self, outcome: Outcome, broken: Broken | None) -> None:
        if self.is_over:
            return
        self.is_over, self.is_ready = True, False
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            transaction.break_off(broken or Broken(outcome.words.decode()))
        if self._socket is not None:
            self._loop.unwatch(self._socket.fileno())
            self._socket.close()
        self._unsent = b""
        if transaction is not None:
            self._user.concluded(self, transaction)
        self._user.over(self, outcome)


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate does not hold: {error.verify_message}"
    return getattr(error, "reason", None) or str(error) or "the handshake failed"
