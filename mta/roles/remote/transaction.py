"""One message to some recipients in one conversation: what is said, and what becomes of each of them. No sockets.

A reader would otherwise get wrong: there is a moment in which nobody can know. When the last octet of the content has left
and the conversation breaks before the answer, the host may have taken the message or not. The rule is one: it is delayed,
marked as in doubt, counted, and sent again later to the same domain, never at once to another host. A second copy can
happen then; a lost message cannot. Before the last octet has left, and after any answer, there is no doubt.

Content is never converted. Where a host could not take it as it is, the recipient fails: 5.6.3 for octets beyond ASCII
without 8BITMIME (RFC 6152 3), 5.6.7 for addresses or a header that want SMTPUTF8 (RFC 6531 3.2).
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from mta.record import dataclass, field
from mta.roles.remote.content import Content
from mta.roles.remote.outcome import Outcome, delayed, failed, of_reply, words_of
from mta.smtp.client import Answered, Broken, Client, Command, Kind, Reply
from mta.vocabulary import Action

_RSET: Final = Command(Kind.RSET, b"RSET")
_DATA: Final = Command(Kind.DATA, b"DATA")
_END: Final = Command(Kind.CONTENT_END, b".")
_BODY_ENDS: Final = frozenset({Kind.CONTENT_END, Kind.BDAT})


class Recipient(NamedTuple):
    """One of them; *number* is how whoever asked names it."""

    number: int
    path: bytes
    options: bytes = b""  # NOTIFY, ORCPT; space-separated KEY=value


class Mail(NamedTuple):
    """What is the same for all recipients."""

    reverse_path: bytes
    options: dict[bytes, bytes]  # BODY, SMTPUTF8, RET, ENVID, REQUIRETLS

    @classmethod
    def of(cls, reverse_path: bytes, options: bytes) -> "Mail":
        """*options* as the envelope has them."""
        return cls(reverse_path, options_of(options))


def options_of(text: bytes) -> dict[bytes, bytes]:
    """Space-separated KEY=value by key, in upper case."""
    return {key.upper(): value for key, _, value in (option.partition(b"=") for option in text.split())}


@dataclass(slots=True, eq=False)
class Transaction:
    """Over a *client* that is ready and idle, or whose last message's content has been sent."""

    client: Client
    mail: Mail
    recipients: list[Recipient]
    content: Content
    lmtp: bool = False
    is_authenticated: bool = False  # the host is known, by its certificate, to be the one that is meant
    must_reset: bool = False  # the conversation has an open transaction that came to nothing
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    stages: dict[int, bytes] = field(default_factory=dict)  # the command whose answer decided, where one did
    again: list[Recipient] = field(default_factory=list)  # more than the host takes at once: they come next
    junk: str = ""  # what the host said is no answer to what it was asked: the conversation cannot go on
    in_transfer: bool = False  # content is being sent
    is_end_sent: bool = False  # nothing of the content is left to send
    is_broken: bool = False  # the conversation ended before it did
    is_end_gone: bool = False  # and it is not in a buffer of ours any more
    _accepted: list[Recipient] = field(default_factory=list)
    _asked: list[Recipient] = field(default_factory=list)  # whose RCPT was not answered
    _mail_refused: Reply | None = None
    _blocks: Iterator[bytes] | None = None
    _open: int = 0  # answers that we wait for
    _has_begun: bool = False  # MAIL was accepted, and nothing ended it yet
    _is_data_asked: bool = False
    _stage: bytes = b""

    # --- what the driver does

    @property
    def is_over(self) -> bool:
        """Every recipient has its outcome, or comes again, and no answer is owed."""
        return not self._open and not self.in_transfer

    def begin(self) -> None:
        """Say what can be said at once."""
        if self.must_reset:
            self._ask(_RSET)
        obstacle = self._obstacle()
        if obstacle is not None:
            self._decide(self.recipients, obstacle)
            return
        self._asked = self._presentable()
        if not self._asked:
            return
        self._ask(Command(Kind.MAIL, self._mail_line()))
        if b"PIPELINING" not in self.client.extensions:
            return
        self._ask_recipients()
        if self._may_send_early:
            self._ask_content()

    def go_on(self) -> bool:
        """Send the next block of the content, when nothing of the one before waits any more. False: there is none."""
        if self._blocks is None:
            return False
        try:
            block = next(self._blocks, None)
        except OSError:
            self.in_transfer, self._blocks = False, None
            self.junk = "the content could not be read"
            self._decide(self.recipients, delayed(b"4.3.0", self.junk.encode(), trouble=False))
            return False
        if block is not None:
            self.client.push(block)
            return True
        self._blocks, self.in_transfer, self.is_end_sent = None, False, True
        if self._by_chunk:
            return False
        self._ask(_END)
        if self.lmtp and len(self._accepted) > 1:
            self.client.expect(_END, len(self._accepted) - 1)
            self._open += len(self._accepted) - 1
        return True

    def flushed(self) -> None:
        """All that was to be sent has been taken by the kernel."""
        self.is_end_gone = self.is_end_sent

    def hear(self, answer: Answered) -> None:
        """An answer to something that this transaction asked."""
        self._open -= 1
        kind, reply = answer.command.kind, answer.reply
        self._stage = kind.value.encode()
        if kind is Kind.MAIL:
            self._hear_mail(reply)
        elif kind is Kind.RCPT:
            self._hear_recipient(reply)
        elif kind is Kind.DATA:
            self._hear_data(reply)
        elif kind in _BODY_ENDS:
            self._hear_end(reply)
        elif reply.code != 250:
            self.junk = "RSET was not obeyed"

    def break_off(self, broken: Broken) -> None:
        """The conversation is over, whatever was still to be answered."""
        self._open, self.in_transfer, self.is_broken, self._stage = 0, False, True, b""
        reply = broken.reply
        if reply is not None and not reply.is_positive:
            outcome = of_reply(reply, trouble=True)
            # 421 with a hint of "never" would be 5yz: what is closing comes back.
            outcome = outcome if outcome.is_delay else outcome._replace(action=Action.DELAYED)
        elif self.is_end_gone and self._accepted_or_asked:
            outcome = delayed(b"4.4.2", b"sent, but not confirmed: " + broken.why.encode(), in_doubt=True)
        else:
            outcome = delayed(b"4.4.2", broken.why.encode())
        self._decide(self.recipients, outcome)

    @property
    def leaves_open(self) -> bool:
        """The next one must say RSET first."""
        return self._has_begun

    # --- before anything is said

    def _obstacle(self) -> Outcome | None:
        """Why this host cannot take this message at all."""
        limit = self.client.extensions.get(b"SIZE", b"")
        if limit.isdigit() and 0 < int(limit) < self.content.size:
            return failed(b"5.3.4", b"the message has %d octets; the host takes %b" % (self.content.size, limit))
        if b"REQUIRETLS" in self.mail.options and not (self.is_authenticated and self._has(b"REQUIRETLS")):
            return failed(b"5.7.30", b"the sender wants the message protected on its whole way (REQUIRETLS)")
        try:
            if not self._has(b"8BITMIME") and not self.content.is_ascii():
                return failed(
                    b"5.6.3", b"the message has octets beyond ASCII, and the host does not take them (8BITMIME)"
                )
            if not self._has(b"SMTPUTF8") and self._is_international():
                return failed(b"5.6.7", b"the message needs a host that knows internationalized mail (SMTPUTF8)")
        except OSError as error:
            return delayed(b"4.3.0", b"the content cannot be read: " + str(error.strerror).encode(), trouble=False)
        return None

    def _is_international(self) -> bool:
        if not self.mail.reverse_path.isascii():
            return True
        return b"SMTPUTF8" in self.mail.options and not self.content.is_header_ascii()

    def _presentable(self) -> list[Recipient]:
        """Those recipients that can be named to this host; of the others it is decided here."""
        found = []
        for recipient in self.recipients:
            if not recipient.path.isascii() and not self._has(b"SMTPUTF8"):
                words = b"the address needs a host that knows internationalized mail (SMTPUTF8)"
                self._decide([recipient], failed(b"5.6.7", words))
            elif not _is_speakable(recipient.path) or not _is_speakable(self.mail.reverse_path):
                self._decide([recipient], failed(b"5.1.3", b"the address cannot be written in a command"))
            else:
                found.append(recipient)
        return found

    def _mail_line(self) -> bytes:
        mail, line = self.mail, b"MAIL FROM:<%b>" % self.mail.reverse_path
        if self._has(b"SIZE"):
            line += b" SIZE=%d" % self.content.size
        if self._has(b"8BITMIME") and (b"BODY" in mail.options or self.content.may_be_eight_bit):
            line += b" BODY=8BITMIME"
        if self._has(b"SMTPUTF8") and (self._is_unicode_said() or b"SMTPUTF8" in mail.options):
            line += b" SMTPUTF8"
        if self._has(b"DSN"):
            line += b"".join(b" %b=%b" % (key, mail.options[key]) for key in (b"RET", b"ENVID") if key in mail.options)
        if self._has(b"REQUIRETLS") and b"REQUIRETLS" in mail.options:
            line += b" REQUIRETLS"
        return line

    def _is_unicode_said(self) -> bool:
        return not self.mail.reverse_path.isascii() or not all(each.path.isascii() for each in self._asked)

    def _recipient_line(self, recipient: Recipient) -> bytes:
        line = b"RCPT TO:<%b>" % recipient.path
        if self._has(b"DSN"):
            options = options_of(recipient.options)
            line += b"".join(b" %b=%b" % (key, options[key]) for key in (b"NOTIFY", b"ORCPT") if key in options)
        return line

    # --- what is said

    @property
    def _by_chunk(self) -> bool:
        # In LMTP each recipient is answered at the end, which RFC 2033 says of DATA alone.
        return self._has(b"CHUNKING") and not self.lmtp

    @property
    def _may_send_early(self) -> bool:
        """DATA may go before anybody is accepted (RFC 2920 3.1), and of BDAT what is short."""
        return not self._by_chunk or self.content.is_short

    def _has(self, extension: bytes) -> bool:
        return extension in self.client.extensions

    def _ask(self, *commands: Command) -> None:
        self.client.ask(*commands)
        self._open += len(commands)

    def _ask_recipients(self) -> None:
        self._ask(*(Command(Kind.RCPT, self._recipient_line(each)) for each in self._asked))

    def _ask_content(self) -> None:
        self._is_data_asked = True
        if not self._by_chunk:
            self._ask(_DATA)
            return
        self._ask(Command(Kind.BDAT, b"BDAT %d LAST" % self.content.size))
        self._blocks, self.in_transfer = self.content.blocks(), True
        if self.content.is_short:
            while self.go_on():
                pass

    # --- what is answered

    @property
    def _accepted_or_asked(self) -> bool:
        return bool(self._accepted or self._asked)

    def _hear_mail(self, reply: Reply) -> None:
        if not 200 <= reply.code < 300:
            if reply.is_positive:
                self.junk = f"MAIL was answered with {reply.code}"
                return
            self._mail_refused = reply
            self._decide(self.recipients, of_reply(reply))
            return
        self._has_begun = True
        if not self._has(b"PIPELINING"):
            self._ask_recipients()

    def _hear_recipient(self, reply: Reply) -> None:
        recipient = self._asked.pop(0)
        if self._mail_refused is not None:
            return
        if 200 <= reply.code < 300:
            self._accepted.append(recipient)
        elif reply.is_positive:
            self.junk = f"RCPT was answered with {reply.code}"
        elif self._accepted and _says_too_many(reply):
            self.again.append(recipient)
        else:
            self._decide([recipient], of_reply(reply))
        if not self._asked and self._accepted and not self._is_data_asked and not self.junk:
            self._ask_content()

    def _hear_data(self, reply: Reply) -> None:
        if reply.code != 354:
            if reply.is_positive:
                self.junk = f"DATA was answered with {reply.code}"
            else:
                self._decide(self._accepted, of_reply(reply))
            return
        if not self._accepted or self._mail_refused is not None:
            self._ask(_END)  # RFC 2920 3.1: it wants a message, though it took nobody; nothing of ours
            return
        self._blocks, self.in_transfer = self.content.stuffed_blocks(), True
        self.go_on()
        if self.content.is_short:
            while self.go_on():
                pass

    def _hear_end(self, reply: Reply) -> None:
        # What becomes of a transaction whose BDAT was refused is not said anywhere: RSET is always right.
        self._has_begun = self._by_chunk and not reply.is_positive
        if self.in_transfer:  # It did not wait for the end: it wants no more of this, and we do not send the rest.
            self.in_transfer, self._blocks = False, None
            self.junk = "an answer came before the end of the content"
        about = self._accepted[:1] if self.lmtp else self._accepted
        self._accepted = self._accepted[len(about) :]
        if 200 <= reply.code < 300 and not self.junk:
            self._decide(about, self._success(reply))
        elif reply.is_positive:
            self.junk = self.junk or f"the content was answered with {reply.code}"
            self._decide(about, delayed(b"4.5.0", b"no answer to the content: " + words_of(reply), in_doubt=True))
        else:
            self._decide(about, of_reply(reply))

    def _success(self, reply: Reply) -> Outcome:
        action = Action.DELIVERED if self.lmtp else Action.RELAYED
        status = reply.status or b"2.0.0"
        return Outcome(action, status, words_of(reply), notifies=self._has(b"DSN") and not self.lmtp)

    def _decide(self, recipients: list[Recipient], outcome: Outcome) -> None:
        coming = {each.number for each in self.again}
        for each in recipients:
            if each.number not in coming:
                self.outcomes.setdefault(each.number, outcome)
                self.stages.setdefault(each.number, self._stage)


def _is_speakable(path: bytes) -> bool:
    """Is *path* one that ends where it ends in a command line? Whatever made it, it does not become a second command."""
    return len(path) <= 320 and not any(octet < 0x20 or octet == 0x7F for octet in path)


def _says_too_many(reply: Reply) -> bool:
    """452, or 552 from those who knew RFC 821 only (RFC 5321 4.5.3.1.10): more recipients than it takes at once."""
    if reply.code == 452:
        return reply.status in (b"", b"4.5.3")
    return reply.code == 552 and reply.status in (b"", b"5.5.3")
