"""The server's side of one SMTP conversation (RFC 5321), without I/O: octets in; replies, questions to peers, events out.

A reader would otherwise get wrong: while an answer is awaited (`waiting`), input is kept and not looked at, so that
replies come in the order of the commands (RFC 2920 3.1). The one exception: further RCPTs of a pipelined group are asked
about at once, and their replies still come in order. What is kept is `pending` octets; whoever drives us stops reading
when they are many.

The driver calls a method when something happened, and carries out the events that it returns, in their order.
"""

import enum
import functools
from collections.abc import Callable
from typing import ClassVar, Final

from mta.record import dataclass, field
from mta.smtp import auth, replies
from mta.smtp.auth import MAX_AUTH_LINE
from mta.smtp.commands import (
    MAX_COMMAND_LINE,
    SOUND_LINE,
    SOUND_LINE_BEYOND_ASCII,
    Rcpt,
    check_vrfy,
    parse_chunk,
    parse_hello,
    parse_mail,
    parse_rcpt,
)
from mta.smtp.content import ChunkReader, ContentReader
from mta.smtp.events import (
    NOBODY,
    Ask,
    AskSender,
    Event,
    HangUp,
    LoginAnswer,
    Note,
    Offer,
    Recipient,
    Send,
    SenderAnswer,
    StartTls,
    Verdict,
)
from mta.smtp.intake import Intake
from mta.smtp.parameters import NO_PARAMETERS, MailParameters
from mta.smtp.replies import Refused, Reply
from mta.vocabulary import Word

SMALL_CHUNK = 1024  # octets; BDAT with fewer, and more to come, brings a message no further and counts as fruitless


@dataclass(frozen=True)
class Policy:
    """What the administrator decides; the same for many conversations, so what follows from it is worked out once."""

    hostname: bytes
    max_message_size: int = 50 * 1024 * 1024  # octets
    max_recipients: int = 1000  # RFC 5321 4.5.3.1.8 asks for at least 100
    max_errors: int = 10  # commands that made no sense, before 421
    max_fruitless_commands: int = 100  # commands besides RCPT and DATA since the last message taken, before 421
    command_seconds: float = 300.0  # RFC 5321 4.5.3.2.7
    block_seconds: float = 180.0  # RFC 5321 4.5.3.2.5
    # RFC 5321 sets no limit; without one, a client that drips octets holds its place for ever. Whoever drives us keeps it:
    # `wind_up` after so long, `break_off` after twice that, for a message that began before.
    session_seconds: float = 3600.0
    starttls: bool = False  # somebody is there who can terminate TLS
    # Of AUTH. With any this is submission (RFC 6409): users, under TLS, who log in before anything else.
    mechanisms: tuple[bytes, ...] = ()
    greeting: bytes = field(init=False)
    hello: bytes = field(init=False)
    extended_hello: bytes = field(init=False)
    secured_hello: bytes = field(init=False)  # the answer to EHLO under TLS

    def __post_init__(self) -> None:
        object.__setattr__(self, "greeting", replies.greeting(self.hostname))
        object.__setattr__(self, "hello", replies.hello(self.hostname))
        offers = functools.partial(
            replies.extended_hello, self.hostname, self.max_message_size, self.max_recipients, starttls=self.starttls
        )
        object.__setattr__(self, "extended_hello", offers())
        object.__setattr__(self, "secured_hello", offers(secured=True, mechanisms=self.mechanisms))


class Phase(enum.Enum):
    """Where the conversation stands."""

    COMMANDS = "commands"
    CONTENT = "content"  # of DATA
    CHUNK = "chunk"  # of BDAT
    HANDSHAKE = "handshake"  # STARTTLS was said, and TLS is not on yet
    RESPONSE = "response"  # AUTH was said, and the next line is the client's response
    LOGIN = "login"  # the authenticator has what the client said
    SENDER = "sender"  # MAIL was said, and the authenticator has the reverse-path
    COMMIT = "commit"  # the end of the content was read; the enqueuer has the word
    OVER = "over"


_COMMANDS: Final = Phase.COMMANDS
_CONTENT: Final = Phase.CONTENT
_CHUNK: Final = Phase.CHUNK
_HANDSHAKE: Final = Phase.HANDSHAKE
_RESPONSE: Final = Phase.RESPONSE
_LOGIN: Final = Phase.LOGIN
_SENDER: Final = Phase.SENDER
_COMMIT: Final = Phase.COMMIT
_OVER: Final = Phase.OVER

_REFUSALS = {
    Word.UNKNOWN: replies.UNKNOWN,
    Word.SUSPENDED: replies.SUSPENDED,
    Word.FULL: replies.FULL,
    Word.FOREIGN: replies.FOREIGN,
    Word.UNSIGNED: replies.UNSIGNED,
    Word.DENIED: replies.DENIED,
    Word.LISTED: replies.LISTED,
    Word.GREYLISTED: replies.GREYLISTED,
    Word.NO_REVERSE_NAME: replies.NO_REVERSE_NAME,
    Word.TOO_FAST: replies.TOO_FAST,
    Word.OVER_LIMIT: replies.OVER_LIMIT,
    Word.BRAKED: replies.BRAKED,
    Word.SLOW_DOWN: replies.SLOW_DOWN,
    Word.TRY_LATER: replies.TRY_LATER,
}

_ACCEPT: Final = Word.ACCEPT
_SLOW_DOWN: Final = Word.SLOW_DOWN
_GOODBYE: Final = 421  # RFC 5321 4.2.2: we hang up behind it
_OF_LOGIN: Final = frozenset({235, 454, 535})  # RFC 4954 6: how a log-in ends that was said as it should be
_INTERRUPTED: Final = frozenset(
    {Phase.CONTENT, Phase.CHUNK, Phase.HANDSHAKE, Phase.RESPONSE}
)  # where the client's leaving ends all
_MAY_GO_BEYOND_ASCII: Final = frozenset({b"MAIL ", b"RCPT ", b"VRFY ", b"EXPN "})  # RFC 6531 3.3, 3.5

# A browser that was tricked into speaking to us says these first, and then an attacker's octets: do not read on.
_OTHER_PROTOCOLS = frozenset({b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"CONNECT"})


class _Question:
    """A forward-path the directory was asked about."""

    __slots__ = ("rcpt", "verdict")

    def __init__(self, rcpt: Rcpt) -> None:
        self.rcpt = rcpt
        self.verdict: Verdict | None = None


class Server:
    """One conversation."""

    __slots__ = (
        "_alone", "_asked_sender", "_chunk_last", "_chunk_left", "_chunk_unwanted", "_declared", "_end_of_input",
        "_ending", "_errors", "_events", "_extended", "_fruitless", "_greets_late", "_helo", "_input", "_intake",
        "_late_refusal", "_login", "_logins", "_lost", "_number", "_out", "_policy", "_questions", "_reader",
        "_recipients", "_reverse_path", "_skipping", "_starting_tls", "_tls", "_tried", "_unasked", "phase", "steps",
        "tls_away",
    )  # fmt: skip

    def __init__(self, policy: Policy, *, implicit_tls: bool = False) -> None:
        """With *implicit_tls* (RFC 8314 3) the handshake comes first: nothing may be told but `secured`, which greets."""
        self._policy = policy
        self.phase = _HANDSHAKE if implicit_tls else _COMMANDS
        self._greets_late = implicit_tls
        # Who terminates TLS was there when we offered it, and is not now. Whoever drives us says so.
        self.tls_away = False
        self.steps = 0  # goes up with each whole command and each piece of content: has anything been achieved?
        self._input = b""
        self._skipping = False  # inside a command line that is too long
        self._end_of_input = False
        self._lost = False
        self._ending: Reply | None = None  # said as soon as nothing is in hand
        self._unasked = True  # our hanging up comes as a surprise
        self._out: list[bytes] = []
        self._events: list[Event] = []
        self._questions: dict[int, _Question] = {}  # in the order asked
        self._number = 0
        self._errors = 0
        self._fruitless = 0
        self._helo = b""
        self._extended = False
        self._tls = b""  # version and cipher, when TLS is on
        self._starting_tls = False
        self._login = NOBODY
        self._logins = auth.LogIns(policy.mechanisms) if policy.mechanisms else None
        self._asked_sender: tuple[bytes, MailParameters] = (b"", NO_PARAMETERS)  # of the MAIL that waits for its answer
        self._chunk_left = 0  # octets of this chunk still to come
        self._chunk_last = False
        self._chunk_unwanted: Reply | None = None  # there is no message that this chunk could belong to
        # One transaction; `_forget` puts all of it back.
        self._reverse_path: bytes | None = None  # empty: the null reverse-path; None: there was no MAIL
        self._declared = NO_PARAMETERS
        self._recipients: list[Recipient] = []
        self._tried = False  # a well-formed RCPT was said
        self._alone = False  # the recipient's domain tells nothing before the content, and so wants no other beside it
        self._late_refusal: Reply | None = None  # what it would have told
        self._reader: ContentReader | ChunkReader | None = None
        self._intake: Intake | None = None

    # --- what the driver asks

    @property
    def waiting(self) -> bool:
        """Is there an answer without which we do not go on?"""
        phase = self.phase
        return bool(self._questions) or (
            phase is _COMMIT or phase is _HANDSHAKE or phase is _LOGIN or phase is _SENDER
        )  # fmt: skip

    @property
    def pending(self) -> int:
        """Octets of input not looked at yet."""
        return len(self._input)

    @property
    def patience_seconds(self) -> float:
        """How long to wait for the client's next word."""
        in_content = self.phase is _CONTENT or self.phase is _CHUNK
        return self._policy.block_seconds if in_content else self._policy.command_seconds

    # --- what the driver tells

    def greet(self) -> list[Event]:
        """The client is there."""
        self._out.append(self._policy.greeting)
        return self._take_events()

    def receive(self, octets: bytes) -> list[Event]:
        """The client said *octets*."""
        if self.phase is _OVER:
            return []
        if self.phase is _HANDSHAKE:
            self._end(replies.PLAINTEXT_BEHIND_STARTTLS)
            return self._take_events()
        self._input = self._input + octets if self._input else octets
        return self._go_on()

    def verdict(self, number: int, verdict: Verdict) -> list[Event]:
        """The directory answered question *number*."""
        question = self._questions.get(number)
        if question is None or self.phase is _OVER:
            return []
        question.verdict = verdict
        for first, asked in list(self._questions.items()):
            known = asked.verdict
            if known is None or first not in self._questions:
                break  # not known yet; or a judgement before it ended the conversation
            del self._questions[first]
            self._judge(asked.rcpt, known)
        return self._go_on()

    def taken(self, queue_id: bytes) -> list[Event]:
        """The enqueuer answers for the message from now on. It has told the journal itself; once is enough."""
        if self.phase is not _COMMIT:
            return []
        self._out.append(replies.queued(queue_id))
        self._errors = self._fruitless = 0
        self._finish_message()
        return self._go_on()

    def declined(self, reply: Reply) -> list[Event]:
        """The enqueuer does not take the message (or is away) and has kept nothing of it."""
        if self.phase is _COMMIT:
            self._note_refused(reply)
            self._out.append(reply.octets)
            self._finish_message()
            return self._go_on()
        if self._intake is not None:
            self._intake.declined(reply)
        return []

    def secured(self, tls: bytes) -> list[Event]:
        """TLS is on, as *tls* says it (version and cipher): all that was said in the clear is forgotten (RFC 3207 4.2)."""
        if self.phase is not _HANDSHAKE:
            return []
        self.phase = _COMMANDS
        self._tls = tls
        self._helo = b""
        self._extended = False
        if self._greets_late:
            self._greets_late = False
            self._out.append(self._policy.greeting)
        return self._go_on()

    def challenged(self, text: bytes) -> list[Event]:
        """The authenticator wants *text* answered."""
        if self.phase is not _LOGIN or self._logins is None:
            return []
        self._follow(self._logins.challenged(text))
        return self._go_on()

    def logged_in(self, answer: LoginAnswer) -> list[Event]:
        """The authenticator knows whether the log-in is right, or somebody else that it does not."""
        if self.phase is not _LOGIN or self._logins is None:
            return []
        self._follow(self._logins.answered(answer))
        return self._go_on()

    def sender_judged(self, answer: SenderAnswer) -> list[Event]:
        """The authenticator knows whether who logged in may write from the address that MAIL named."""
        if self.phase is not _SENDER:
            return []
        self.phase = _COMMANDS
        if answer.yes:
            self._begin_message(*self._asked_sender)
        else:
            no = replies.in_words(replies.NOT_YOUR_ADDRESS, answer.rule)
            reply = replies.TRY_LATER if answer.yes is None else no
            self._note_refused(reply, self._asked_sender[0])
            self._out.append(reply.octets)
        return self._go_on()

    def end_of_input(self) -> list[Event]:
        """The client will say no more, but may still listen: what it said whole is carried out."""
        if self.phase is _OVER:
            return []
        self._end_of_input = True
        return self._go_on()

    def lost(self) -> list[Event]:
        """The connection is gone. A commit that was begun goes on; everything else is forgotten."""
        if self.phase is _OVER:
            return []
        self._lost = True
        self._input = b""
        self._questions.clear()
        if self.phase is not _COMMIT:
            self._give_up()
        return self._take_events()

    def wind_up(self, reply: Reply) -> list[Event]:
        """Say *reply* and hang up as soon as no command and no message is in hand."""
        if self.phase is _OVER:
            return []
        self._ending = reply
        return self._go_on()

    def break_off(self, reply: Reply) -> list[Event]:
        """Say *reply* and hang up now. After the final dot this leaves open whether the message was taken."""
        if self.phase is _OVER:
            return []
        self._end(reply)
        return self._take_events()

    # --- the machine

    def _go_on(self) -> list[Event]:
        while self._input:
            if self.phase is _COMMANDS:
                if not self._step_command():
                    break
            elif self.phase is _CONTENT:
                octets, self._input = self._input, b""
                self._read_content(octets)
            elif self.phase is _CHUNK:
                octets, self._input = self._input[: self._chunk_left], self._input[self._chunk_left :]
                self._read_chunk(octets)
            elif self.phase is _RESPONSE:
                if not self._step_response():
                    break
            else:
                break
        if self._ending is not None or self._end_of_input or self._lost:
            self._end_if_due()
        return self._take_events()

    def _end_if_due(self) -> None:
        if (self.phase is _COMMANDS and not self._questions) or (self.phase is _RESPONSE and self._ending is not None):
            if self._ending is not None:
                self._end(self._ending)
            else:
                self._unasked = False
                self._give_up()
        elif self.phase in _INTERRUPTED and self._end_of_input:
            self._unasked = False
            self._give_up()

    def _take_events(self) -> list[Event]:
        events = self._events
        if self._out:
            events.append(Send(b"".join(self._out)))
            self._out = []
        if self._starting_tls:
            self._starting_tls = False
            events.append(StartTls())
        if self.phase is _OVER:
            events.append(HangUp(self._unasked))
        if events:
            self._events = []
        return events

    def _step_command(self) -> bool:
        """One line of input, when there is a whole one and it may be obeyed now."""
        if self._ending is not None:
            return False  # RFC 5321 3.8: the 421 stands in the place of the next command's reply.
        end = self._input.find(b"\n") + 1
        if not end:
            if self._skipping or len(self._input) >= MAX_COMMAND_LINE:
                self._skip_if_too_long()
            return False
        line = self._input[:end]
        if self._questions:
            if not self._ask_also(line):
                return False
            self._input = self._input[end:]
            return True
        self._input = self._input[end:]
        self.steps += 1
        self._obey(line)
        return True

    def _obey(self, line: bytes) -> None:
        if self._skipping or (len(line) > MAX_COMMAND_LINE and len(line) > self._most_of(line)):
            self._skipping = False
            self._complain(replies.LINE_TOO_LONG)
            return
        if not _is_sound(line):
            self._complain(replies.BAD_LINE)
            return
        verb, _, argument = line[:-2].rstrip(b" ").partition(b" ")
        command = self._VERBS.get(verb) or self._VERBS.get(verb.upper())
        if command is None:
            self._unknown(verb.upper())
            return
        try:
            command(self, argument)
        except Refused as refused:
            self._complain(refused.reply)

    def _skip_if_too_long(self) -> None:
        if self._skipping or len(self._input) >= self._most_of(self._input):
            self._skipping, self._input = True, b""

    def _most_of(self, line: bytes) -> int:
        """How long *line* may become: with a response in it, longer than any other command."""
        return MAX_AUTH_LINE if self._policy.mechanisms and line[:5].upper() == b"AUTH " else MAX_COMMAND_LINE

    def _ask_also(self, line: bytes) -> bool:
        """Ask about another RCPT while earlier ones are unanswered, if the answer to it cannot depend on theirs."""
        if self._skipping or line[:5].upper() != b"RCPT " or len(line) > MAX_COMMAND_LINE or not _is_sound(line):
            return False
        if self._alone or len(self._recipients) + len(self._questions) >= self._policy.max_recipients:
            return False
        try:
            rcpt = parse_rcpt(line[5:-2].rstrip(b" "), self._policy.hostname, utf8=self._declared.utf8)
        except Refused:
            return False
        self.steps += 1
        self._ask(rcpt)
        return True

    # --- commands

    def _hello(self, argument: bytes) -> None:
        self._count_fruitless()
        self._helo = parse_hello(argument)
        self._extended = False
        self._forget()
        self._out.append(self._policy.hello)

    def _extended_hello(self, argument: bytes) -> None:
        self._count_fruitless()
        self._helo = parse_hello(argument)
        self._extended = True
        self._forget()  # RFC 5321 4.1.4: EHLO does what RSET does
        self._out.append(self._policy.secured_hello if self._tls else self._policy.extended_hello)

    def _mail(self, argument: bytes) -> None:
        self._count_fruitless()
        if not self._helo:
            raise Refused(replies.HELLO_FIRST)
        if self._reverse_path is not None:
            raise Refused(replies.NESTED_MAIL)
        submitted = self._logins is not None
        if submitted and self._login is NOBODY:
            raise Refused(replies.LOG_IN_FIRST if self._tls else replies.STARTTLS_FIRST)
        reverse_path, declared = parse_mail(argument, secured=bool(self._tls), submitted=submitted)
        if declared.utf8 and not self._extended:
            raise Refused(replies.UNKNOWN_PARAMETER)
        if declared.size > self._policy.max_message_size:
            self._out.append(replies.TOO_LARGE.octets)  # RFC 1870 6.1; no error of the client's, so not counted
            self._note_refused(replies.TOO_LARGE, reverse_path)
        elif submitted:
            self._asked_sender = reverse_path, declared
            self._events.append(AskSender(reverse_path, self._login))
            self.phase = _SENDER
        else:
            self._begin_message(reverse_path, declared)

    def _begin_message(self, reverse_path: bytes, declared: MailParameters) -> None:
        self._reverse_path, self._declared = reverse_path, declared
        self._out.append(replies.SENDER_OK.octets)

    def _rcpt(self, argument: bytes) -> None:
        if self._reverse_path is None:
            raise Refused(replies.MAIL_FIRST if self._helo else replies.HELLO_FIRST)
        if self._intake is not None:
            raise Refused(replies.CHUNKS_BEGUN)
        rcpt = parse_rcpt(argument, self._policy.hostname, utf8=self._declared.utf8)
        self._tried = True
        if self._alone:
            self._out.append(replies.ONE_RECIPIENT.octets)
        elif len(self._recipients) >= self._policy.max_recipients:
            self._out.append(replies.TOO_MANY_RECIPIENTS.octets)
        else:
            self._ask(rcpt)

    def _data(self, argument: bytes) -> None:
        if argument:
            raise Refused(replies.NO_ARGUMENT_WANTED)
        if self._intake is not None:
            raise Refused(replies.CHUNKS_BEGUN)
        if not self._recipients:
            raise Refused(self._why_no_data())
        self.phase = _CONTENT
        self._reader = ContentReader()
        self._intake = self._begin_intake()
        self._out.append(replies.START_CONTENT.octets)

    def _bdat(self, argument: bytes) -> None:
        chunk = parse_chunk(argument)
        if chunk is None:
            # What follows are octets of a message, and to read them as commands is what an attacker would want.
            self._out.append(replies.BAD_CHUNK.octets)
            self._note_refused(replies.LOST_COUNT)
            self._end(replies.LOST_COUNT)
            return
        self.phase = _CHUNK
        self._chunk_left, self._chunk_last = chunk
        self._chunk_unwanted = None
        if not self._recipients:
            self._chunk_unwanted = self._why_no_data()
        else:
            if self._intake is None:
                self._reader = ChunkReader()
                self._intake = self._begin_intake()
            self._events += self._intake.expect(chunk.size)
            if chunk.size < SMALL_CHUNK and not chunk.last:
                self._count_fruitless()
        if not chunk.size:
            self._end_chunk()

    def _why_no_data(self) -> Reply:
        if self._tried:
            return replies.NO_VALID_RECIPIENTS
        if self._reverse_path is not None:
            return replies.RECIPIENT_FIRST
        return replies.MAIL_FIRST if self._helo else replies.HELLO_FIRST

    def _rset(self, argument: bytes) -> None:
        self._count_fruitless()
        if argument:
            raise Refused(replies.NO_ARGUMENT_WANTED)
        self._forget()
        self._out.append(replies.RESET.octets)

    def _noop(self, _argument: bytes) -> None:
        self._count_fruitless()
        self._out.append(replies.NOTHING_DONE.octets)

    def _vrfy(self, argument: bytes) -> None:
        self._count_fruitless()
        check_vrfy(argument)
        self._out.append(replies.CANNOT_VERIFY.octets)

    def _help(self, argument: bytes) -> None:
        self._count_fruitless()
        reply = replies.HELP_ON.get(argument.upper(), replies.NO_HELP) if argument else replies.HELP
        if self._policy.mechanisms and argument.upper() in (b"", b"AUTH"):
            reply = replies.HELP_ON_AUTH if argument else replies.HELP_OF_SUBMISSION
        if reply is replies.NO_HELP:
            raise Refused(reply)
        self._out.append(reply.octets)

    def _starttls(self, argument: bytes) -> None:
        self._count_fruitless()
        if self._tls:
            raise Refused(replies.TLS_IS_ON)
        if not self._policy.starttls:
            raise Refused(replies.NOT_OFFERED)
        if argument:
            raise Refused(replies.NO_ARGUMENT_WANTED)
        if self.tls_away:
            self._note_refused(replies.TLS_AWAY)
            self._out.append(replies.TLS_AWAY.octets)
            return
        if self._input:
            # Said in the clear, perhaps by another, to be taken for what the client says under TLS.
            self._note_refused(replies.PLAINTEXT_BEHIND_STARTTLS)
            self._end(replies.PLAINTEXT_BEHIND_STARTTLS)
            return
        self._forget()
        self._out.append(replies.READY_FOR_TLS.octets)
        self.phase = _HANDSHAKE
        self._starting_tls = True

    def _auth(self, argument: bytes) -> None:
        self._count_fruitless()
        if self._logins is None:
            raise Refused(replies.NOT_OFFERED)
        if not self._tls:
            raise Refused(replies.CLEARTEXT_LOGIN)
        if not self._extended:
            raise Refused(replies.HELLO_FIRST)
        if self._login is not NOBODY:
            raise Refused(replies.IS_LOGGED_IN)
        # And so never in the middle of a message (RFC 4954 4): who is not logged in cannot have begun one.
        self._follow(self._logins.begin(argument))

    def _not_offered(self, _argument: bytes) -> None:
        raise Refused(replies.NOT_OFFERED)

    def _quit(self, argument: bytes) -> None:
        if argument:
            raise Refused(replies.NO_ARGUMENT_WANTED)
        self._unasked = False
        self._end(replies.CLOSING)

    def _unknown(self, verb: bytes) -> None:
        if not self._helo and verb in _OTHER_PROTOCOLS:
            self._note_refused(replies.NOT_SMTP)
            self._end(replies.NOT_SMTP)
            return
        self._complain(replies.UNKNOWN_COMMAND)

    # --- log-in

    def _follow(self, step: auth.Step | Reply) -> None:
        """What follows from a step of a log-in."""
        assert self._logins is not None
        if isinstance(step, auth.Challenge):
            self.phase = _RESPONSE
            self._out.append(auth.challenge(step.text))
            return
        if not isinstance(step, Reply):
            self.phase = _LOGIN
            self._events.append(step)
            return
        self.phase = _COMMANDS
        self._events += self._logins.end()
        self._login = self._logins.login
        if step.code in _OF_LOGIN:
            self._out.append(step.octets)
        else:
            self._complain(step)
        if self._logins.too_many and self.phase is not _OVER:
            self._note_refused(replies.TOO_MANY_LOGINS)
            self._end(replies.TOO_MANY_LOGINS)

    def _step_response(self) -> bool:
        """One line of input that is a response, when there is a whole one."""
        if self._ending is not None:
            return False
        end = self._input.find(b"\n") + 1
        if not end:
            if self._skipping or len(self._input) >= MAX_AUTH_LINE:
                self._skipping, self._input = True, b""
            return False
        line, self._input = self._input[:end], self._input[end:]
        self.steps += 1
        assert self._logins is not None
        if self._skipping or len(line) > MAX_AUTH_LINE:
            self._skipping = False
            self._follow(replies.LINE_TOO_LONG)  # RFC 4954 4
        elif not SOUND_LINE.match(line):
            self._follow(replies.BAD_LINE)
        else:
            self._follow(self._logins.respond(line[:-2]))
        return True

    # --- recipients

    def _ask(self, rcpt: Rcpt) -> None:
        self._number += 1
        self._questions[self._number] = _Question(rcpt)
        self._events.append(
            Ask(self._number, self._reverse_path or b"", rcpt.forward_path, self._declared.size, self._login)
        )

    def _judge(self, rcpt: Rcpt, verdict: Verdict) -> None:
        if self._alone or (verdict.late and self._recipients):
            # The answer after the content can only be one for all, and a second recipient beside one who is told nothing
            # about would tell something by its own.
            self._out.append(replies.ONE_RECIPIENT.octets)
            return
        if verdict.word is _ACCEPT or verdict.late:
            self._alone = verdict.late
            self._late_refusal = None if verdict.word is _ACCEPT else refusal_of(verdict)
            self._recipients.append(
                Recipient(rcpt.forward_path, verdict.counted, verdict.expiry, verdict.ticket, rcpt.options)
            )
            self._out.append(replies.RECIPIENT_OK.octets)
            return
        reply = refusal_of(verdict)
        self._note_refused(reply, forward_path=rcpt.forward_path)
        if verdict.word is _SLOW_DOWN:
            self._end(reply)
        else:
            self._out.append(reply.octets)

    # --- content

    def _begin_intake(self) -> Intake:
        protocol = b"SMTP"
        if self._extended:  # RFC 3848, RFC 6531 4.3
            protocol = (b"UTF8SMTP" if self._declared.utf8 else b"ESMTP") + (b"S" if self._tls else b"")
            if self._login is not NOBODY:
                protocol += b"A"
        offer = Offer(
            self._helo, protocol, self._declared.options, self._reverse_path or b"", tuple(self._recipients),
            self._tls, self._login,
        )  # fmt: skip
        return Intake(
            offer, self._policy.max_message_size, keeping=self._late_refusal is None, host=self._policy.hostname
        )

    def _read_content(self, octets: bytes) -> None:
        reader, intake = self._reader, self._intake
        assert isinstance(reader, ContentReader)
        assert intake is not None
        self.steps += 1
        content, rest = reader.read(octets)
        self._events += intake.take(content, tainted=reader.tainted)
        if rest is not None:
            self._input = rest
            self._end_content(intake)

    def _read_chunk(self, octets: bytes) -> None:
        self.steps += 1
        self._chunk_left -= len(octets)
        if self._chunk_unwanted is None:
            self._take_chunked(octets)
        if not self._chunk_left:
            self._end_chunk()

    def _take_chunked(self, octets: bytes, *, end: bool = False) -> None:
        reader, intake = self._reader, self._intake
        assert isinstance(reader, ChunkReader)
        assert intake is not None
        content = reader.finish() if end else reader.read(octets)
        self._events += intake.take(content, tainted=reader.tainted)

    def _end_chunk(self) -> None:
        self.phase = _COMMANDS
        if self._chunk_unwanted is not None:
            self._complain(self._chunk_unwanted)
            return
        intake = self._intake
        assert intake is not None
        if self._chunk_last:
            self._take_chunked(b"", end=True)
            self._end_content(intake)
        elif intake.refusal is None:
            self._out.append(replies.CHUNK_TAKEN.octets)
        else:
            # RFC 3030 2: those that are on their way already are taken off the line and get the same answer.
            self._count_fruitless()
            self._note_refused(intake.refusal)
            self._out.append(intake.refusal.octets)

    def _end_content(self, intake: Intake) -> None:
        # A domain that tells nothing before the content tells it last: what is wrong with a message for an unknown
        # recipient is wrong with one for a known one too, and is said in the same words.
        refusal = intake.refusal or self._late_refusal
        if refusal is None:
            self._events += intake.finish()
            self.phase = _COMMIT
            return
        late = self._recipients[0].forward_path if refusal is self._late_refusal else b""
        self._note_refused(refusal, forward_path=late)
        self._finish_message()
        if refusal.code == _GOODBYE:
            self._end(refusal)
        else:
            self._out.append(refusal.octets)

    def _finish_message(self) -> None:
        self.phase = _COMMANDS
        self._forget()

    # --- ends

    def _forget(self) -> None:
        """No transaction (RFC 5321 4.1.1.5)."""
        if self._intake is not None:
            self._events += self._intake.abandon()
            self._intake = self._reader = None
        self._reverse_path = None
        self._declared = NO_PARAMETERS
        self._recipients = []
        self._tried = self._alone = False
        self._late_refusal = None

    def _complain(self, reply: Reply) -> None:
        self._out.append(reply.octets)
        self._errors += 1
        if self._errors >= self._policy.max_errors and self.phase is not _OVER:
            self._note_refused(replies.TOO_MANY_ERRORS)
            self._end(replies.TOO_MANY_ERRORS)

    def _count_fruitless(self) -> None:
        self._fruitless += 1
        if self._fruitless > self._policy.max_fruitless_commands and self._ending is None:
            self._note_refused(replies.TOO_MANY_COMMANDS)
            self._ending = replies.TOO_MANY_COMMANDS

    def _end(self, reply: Reply) -> None:
        self._out.append(reply.octets)
        self._give_up()

    def _give_up(self) -> None:
        self._forget()
        if self._logins is not None:
            self._events += self._logins.end()
        self._questions.clear()
        self._input = b""
        self.phase = _OVER

    def _note_refused(self, reply: Reply, reverse_path: bytes | None = None, forward_path: bytes = b"") -> None:
        reverse_path = self._reverse_path if reverse_path is None else reverse_path
        pairs: dict[str, bytes | int] = {"reply": reply.octets[:9], "reverse_path": reverse_path or b""}
        if forward_path:
            pairs["forward_path"] = forward_path
        if self._login is not NOBODY:
            pairs["identity"] = self._login.identity
        self._events.append(Note("refused", pairs))

    _VERBS: ClassVar[dict[bytes, Callable[["Server", bytes], None]]] = {
        b"EHLO": _extended_hello,
        b"HELO": _hello,
        b"MAIL": _mail,
        b"RCPT": _rcpt,
        b"DATA": _data,
        b"RSET": _rset,
        b"NOOP": _noop,
        b"VRFY": _vrfy,
        b"HELP": _help,
        b"QUIT": _quit,
        b"BDAT": _bdat,
        b"STARTTLS": _starttls,
        b"AUTH": _auth,
        # Known to RFC 5321 and RFC 1985, and not offered here (4.2.4: 502, not 500).
        b"EXPN": _not_offered,
        b"TURN": _not_offered,
        b"ETRN": _not_offered,
    }


def _is_sound(line: bytes) -> bool:
    """Ends with CR LF, and there is neither a control character nor anything but ASCII in it (RFC 5321 2.3.8, 2.4).

    Octets beyond ASCII pass in an address, where they get a reply of their own.
    """
    if SOUND_LINE.match(line):
        return True
    return line[:5].upper() in _MAY_GO_BEYOND_ASCII and SOUND_LINE_BEYOND_ASCII.match(line) is not None


def refusal_of(verdict: Verdict) -> Reply:
    """What a client hears of a recipient who may not have it."""
    return replies.in_words(_REFUSALS[verdict.word], verdict.detail)
