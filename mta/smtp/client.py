"""The SMTP conversation from the client's side, without any I/O: replies' octets in; commands' octets and events out.

A reader would otherwise get wrong: nothing is sent before the server has greeted with 220. What stands at the other end of
an address that somebody typed may be no mail server at all, and it hears no word from us.

    client = Client(b"mx.example.net")
    client.ask(Command(MAIL, b"MAIL FROM:<>"))            queued until the greeting and EHLO are done
    for event in client.receive(octets): ...              Ready, Answered, Broken
    sock.send(client.take())                              what is to be sent now
    client.patience                                       seconds to wait for what is awaited now

Commands travel together where the server takes that (RFC 2920), else one by one; each `Answered` names its command, in the
order they were asked. Content is sent in between as it is (`push`): the dots are somebody else's business. Behind a positive
answer to STARTTLS nothing is said or heard until `secured`.
"""

import enum
from collections import deque
from typing import Final, NamedTuple

from mta.smtp.replies import FIRST_PERMANENT

MAX_LINE = (
    1000  # octets; RFC 5321 4.5.3.1.5 says 512, but what explains a refusal is worth reading, and some write more
)
MAX_LINES = 100  # of one reply; RFC 5321 4.2.1 sets no limit
MAX_TEXT = 4000  # octets of a reply's words that are kept
MAX_COMMAND = 1000  # octets with CR LF; RFC 5321 4.5.3.1.4 says 512 and that extensions may add to it
MAX_EXTENSIONS = 50

_DIGITS: Final = frozenset(b"0123456789")
_FIRST_DIGITS: Final = frozenset(b"2345")


class Phase(enum.Enum):
    """What is awaited."""

    GREETING = "greeting"
    HELLO = "hello"  # the answer to EHLO, or to HELO
    READY = "ready"  # nothing, or answers to commands
    HANDSHAKE = "handshake"  # of TLS, which is not ours: `secured` ends it
    OVER = "over"


class Kind(enum.Enum):
    """What a command is, for the patience it deserves (RFC 5321 4.5.3.2) and its place in a group (RFC 2920 3.1)."""

    MAIL = "mail"
    RCPT = "rcpt"
    RSET = "rset"
    DATA = "data"
    BDAT = "bdat"  # with `push` behind it for its octets (RFC 3030)
    STARTTLS = "starttls"
    AUTH = "auth"  # and each further line of that exchange (RFC 4954 4)
    CONTENT_END = "content-end"
    QUIT = "quit"


_PATIENCE: Final = {
    Kind.MAIL: 300.0,  # 4.5.3.2.2
    Kind.RCPT: 300.0,  # 4.5.3.2.3
    Kind.RSET: 300.0,
    Kind.DATA: 120.0,  # 4.5.3.2.4
    Kind.BDAT: 600.0,  # RFC 3030 says nothing; its last one ends the content
    Kind.STARTTLS: 300.0,
    Kind.AUTH: 180.0,  # RFC 4954 4
    Kind.CONTENT_END: 600.0,  # 4.5.3.2.6
    Kind.QUIT: 30.0,  # Nothing depends on it any more.
}
GREETING_SECONDS: Final = 300.0  # 4.5.3.2.1
HELLO_SECONDS: Final = 300.0
_LAST_OF_GROUP: Final = frozenset({Kind.DATA, Kind.STARTTLS, Kind.AUTH, Kind.CONTENT_END, Kind.QUIT})


class Command(NamedTuple):
    """One command line, without CR LF."""

    kind: Kind
    line: bytes


class Reply(NamedTuple):
    """A whole reply: the code, an enhanced status where there is one (RFC 2034), the words of all lines."""

    code: int
    status: bytes
    text: bytes

    @property
    def is_positive(self) -> bool:
        """2yz, or 3yz: go on."""
        return self.code < 400

    @property
    def is_permanent(self) -> bool:
        """5yz: trying again will not help."""
        return self.code >= FIRST_PERMANENT


class Ready(NamedTuple):
    """The server greeted, and knows who we are. Its extensions by keyword (upper case) with their parameters."""

    extensions: dict[bytes, bytes]


class Answered(NamedTuple):
    """The reply to a command."""

    command: Command
    reply: Reply


class Broken(NamedTuple):
    """The conversation is over: the server said so, left, or speaks something else. *reply*: what it said, if anything.

    Commands that were not answered by then are not answered any more.
    """

    why: str
    reply: Reply | None = None


Event = Ready | Answered | Broken


class ReplyError(Exception):
    """What came is no reply of RFC 5321 4.2, or longer than any."""


class ReplyReader:
    """Octets to replies, with memory for one."""

    def __init__(self) -> None:
        self._rest = b""
        self._code = b""
        self._lines: list[bytes] = []

    def read(self, octets: bytes) -> list[Reply]:
        """The replies that are whole now.

        Raises:
            ReplyError: see there. Nothing more can be read.
        """
        found = []
        lines = (self._rest + octets).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if len(line) > MAX_LINE:
                raise ReplyError("a line of a reply is too long")
            reply = self._take(line.removesuffix(b"\r"))
            if reply is not None:
                found.append(reply)
        if len(self._rest) > MAX_LINE:
            raise ReplyError("a line of a reply is too long")
        return found

    @property
    def is_empty(self) -> bool:
        """No reply has begun."""
        return not self._rest and not self._lines

    def _take(self, line: bytes) -> Reply | None:
        code, separator, text = line[:3], line[3:4], line[4:]
        if len(code) < 3 or not _DIGITS.issuperset(code) or code[0] not in _FIRST_DIGITS:
            raise ReplyError("a line does not begin with a reply code")
        if separator not in (b"", b" ", b"-") or (self._lines and code != self._code):
            raise ReplyError("the lines of a reply do not belong together")
        self._code = code
        self._lines.append(text)
        if separator == b"-":
            if len(self._lines) >= MAX_LINES:
                raise ReplyError("a reply has too many lines")
            return None
        lines, self._lines = self._lines, []
        status = _status(lines[-1], code)
        return Reply(int(code), status, b"\n".join(lines)[:MAX_TEXT])


class Client:
    """One conversation."""

    def __init__(self, name: bytes, *, lmtp: bool = False) -> None:
        """*name*: what we call ourselves in EHLO; with *lmtp* in LHLO (RFC 2033 4.1)."""
        self.phase = Phase.GREETING
        self.extensions: dict[bytes, bytes] = {}
        self.greeting = b""  # what the server said first, and what it calls itself in answer to EHLO
        self.steps = 0  # goes up with every whole reply: time for the next one runs from then on
        self._name, self._hello = name, b"LHLO" if lmtp else b"EHLO"
        self._reader = ReplyReader()
        self._is_plain_hello = False
        self._to_send: list[bytes] = []
        self._asked: deque[Command] = deque()  # not sent yet
        self._sent: deque[Command] = deque()  # not answered yet

    # --- what the driver does

    def ask(self, *commands: Command) -> None:
        """Send *commands* as soon as their turn comes; each is answered by one `Answered`.

        Raises:
            ValueError: a line that the server would read as several, or that is too long for it.
        """
        for command in commands:
            if len(command.line) + 2 > MAX_COMMAND or b"\r" in command.line or b"\n" in command.line:
                raise ValueError("not a command line")
        self._asked.extend(commands)
        self._send_commands()

    def push(self, octets: bytes) -> None:
        """Send *octets* as they are, behind what was sent: content, after its DATA was answered or its BDAT was asked."""
        if self.phase is Phase.READY:
            self._to_send.append(octets)

    def expect(self, command: Command, times: int) -> None:
        """*command* will be answered *times* more often: the content's end in LMTP, once for each recipient (RFC 2033 4.2)."""
        if self.phase is Phase.READY:
            self._sent.extend([command] * times)

    def secured(self) -> None:
        """The handshake is done. All that was said before it is forgotten (RFC 3207 4.2); we say hello anew."""
        self.extensions, self._is_plain_hello, self._reader = {}, False, ReplyReader()
        self.phase = Phase.HELLO
        self._to_send.append(b"%b %b\r\n" % (self._hello, self._name))

    def receive(self, octets: bytes) -> list[Event]:
        """What follows from *octets* of the server."""
        if self.phase is Phase.OVER:
            return []
        events: list[Event] = []
        try:
            for reply in self._reader.read(octets):
                self.steps += 1
                events += self._hear(reply)
            if self.phase is Phase.HANDSHAKE and not self._reader.is_empty:
                events += self._break("octets in the clear behind the answer to STARTTLS")
        except ReplyError as error:
            events += self._break(str(error))
        self._send_commands()
        return events

    def lost(self, why: str = "the server hung up") -> list[Event]:
        """The connection ended, or its time was up (*why*)."""
        return self._break(why)

    def take(self) -> bytes:
        """What is to be sent now; asked again, what came since."""
        octets, self._to_send = b"".join(self._to_send), []
        return octets

    @property
    def is_idle(self) -> bool:
        """Nothing is awaited, and nothing is to be sent: the connection may be kept, or left with QUIT."""
        return self.phase is Phase.READY and not self._asked and not self._sent

    @property
    def patience(self) -> float:
        """For how many seconds without an octet the server may be waited for; 0: nothing is awaited."""
        if self.phase is Phase.GREETING:
            return GREETING_SECONDS
        if self.phase in (Phase.HELLO, Phase.HANDSHAKE):
            return HELLO_SECONDS
        return _PATIENCE[self._sent[0].kind] if self._sent else 0.0

    # --- what the server says

    def _hear(self, reply: Reply) -> list[Event]:
        if self.phase is Phase.OVER:
            return []
        if reply.code == 421 and self.phase is not Phase.HELLO:  # RFC 5321 3.8: said at any time, and it hangs up
            return self._break("the server is closing", reply)
        if self.phase is Phase.GREETING:
            return self._greeted(reply)
        if self.phase is Phase.HELLO:
            return self._known(reply)
        if self.phase is Phase.HANDSHAKE:  # RFC 3207 6: somebody put it there
            return self._break("a reply in the clear behind the answer to STARTTLS")
        return self._answered(reply)

    def _answered(self, reply: Reply) -> list[Event]:
        if not self._sent:
            return self._break("a reply to nothing", reply)
        command = self._sent.popleft()
        if command.kind is Kind.QUIT:
            self.phase = Phase.OVER
        elif command.kind is Kind.STARTTLS and reply.code == 220:
            self.phase = Phase.HANDSHAKE
        return [Answered(command, reply)]

    def _greeted(self, reply: Reply) -> list[Event]:
        if reply.code != 220:
            return self._break("the server does not take mail now", reply)
        self.phase = Phase.HELLO
        self.greeting = reply.text
        self._to_send.append(b"%b %b\r\n" % (self._hello, self._name))
        return []

    def _known(self, reply: Reply) -> list[Event]:
        if reply.code == 250:
            self.extensions = {} if self._is_plain_hello else _extensions(reply.text)
            self.greeting = reply.text.partition(b"\n")[0]
            self.phase = Phase.READY
            return [Ready(self.extensions)]
        if reply.is_permanent and not self._is_plain_hello and self._hello == b"EHLO":  # RFC 5321 3.2: an old server
            self._is_plain_hello = True
            self._to_send.append(b"HELO %b\r\n" % self._name)
            return []
        return self._break("the server does not want to know us", reply)

    def _break(self, why: str, reply: Reply | None = None) -> list[Event]:
        if self.phase is Phase.OVER:
            return []
        self.phase = Phase.OVER
        self._asked.clear()
        self._sent.clear()
        self._to_send.clear()
        return [Broken(why, reply)]

    # --- what we say

    def _send_commands(self) -> None:
        if self.phase is not Phase.READY:
            return
        in_groups = b"PIPELINING" in self.extensions
        while self._asked:
            if self._sent and (not in_groups or self._sent[-1].kind in _LAST_OF_GROUP):
                return
            command = self._asked.popleft()
            self._sent.append(command)
            self._to_send.append(command.line + b"\r\n")


def _extensions(text: bytes) -> dict[bytes, bytes]:
    found = {}
    for line in text.split(b"\n")[1 : MAX_EXTENSIONS + 1]:
        keyword, _, parameters = line.partition(b" ")
        found[keyword.upper()] = parameters.strip()
    return found


def _status(text: bytes, code: bytes) -> bytes:
    """The enhanced status at the head of *text*, when it is one of the reply's own class (RFC 2034 4); else nothing."""
    word = text.partition(b" ")[0]
    parts = word.split(b".")
    if len(parts) != 3 or parts[0] != code[:1]:
        return b""
    return word if all(part.isdigit() and 0 < len(part) <= 3 for part in parts) else b""
