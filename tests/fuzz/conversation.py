"""A driver of the session core that does what a real one may do, at any moment, and believes nothing of what comes back.

What it looks at after each step is what everybody else relies on: every reply has its form and there is one for each
command; the enqueuer is offered only who was accepted, and no content that another server could read differently; what is
kept is bounded; nothing said in the clear counts under TLS; and no octets whatever make the core raise.
"""

import re

from mta.smtp import replies
from mta.smtp.commands import MAX_COMMAND_LINE
from mta.smtp.events import Ask, Block, Event, HangUp, Note, Offer, Send, StartTls, Verdict, Withdraw
from mta.smtp.intake import BLOCK, MAX_PARTS
from mta.smtp.server import Phase, Policy, Server
from mta.vocabulary import Word
from tests.fuzz.dice import Dice

POLICY = Policy(
    hostname=b"mx.example.test", max_message_size=200_000, max_recipients=5, max_errors=5, max_fruitless_commands=20,
    starttls=True,
)  # fmt: skip
MAX_REPLY_LINE = 512  # RFC 5321 4.5.3.1.5, octets with CRLF
TLS = b"TLSv1.3 TLS_AES_256_GCM_SHA384"
WORDS = tuple(Word)
# More pieces than a conversation keeps; the rest comes at once. Sixty thousand of an octet each take seconds, and show no more.
MAX_PIECES = 2 * MAX_PARTS
_LINE = re.compile(rb"[2-5][0-9][0-9][ -][\x20-\x7e]*\r\n\Z")
_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n)|\0")

# What a client may well say; the fuzzer puts anything else in between.
WORDS_OF_CLIENTS = (
    b"EHLO a.test\r\n", b"HELO a\r\n", b"MAIL FROM:<a@b.test>\r\n", b"MAIL FROM:<> BODY=8BITMIME SIZE=100 RET=HDRS ENVID=x\r\n",
    b"MAIL FROM:<\xc3\xa4@b.test> SMTPUTF8 REQUIRETLS\r\n", b"RCPT TO:<joe@b.test>\r\n", b"RCPT TO:<Postmaster>\r\n",
    b'RCPT TO:<@r.test:"a b"@[127.0.0.1]> NOTIFY=NEVER ORCPT=rfc822;a+2Bb\r\n', b"DATA\r\n", b"BDAT 10\r\n", b"BDAT 3 LAST\r\n",
    b"BDAT 99999999999999999999 LAST\r\n", b"RSET\r\n", b"NOOP x\r\n", b"VRFY joe\r\n", b"HELP\r\n", b"EXPN x\r\n", b"STARTTLS\r\n",
    b"QUIT\r\n", b"GET / HTTP/1.1\r\n", b"Subject: x\r\n\r\nhello\r\n", b"..\r\n", b".\r\n", b"\r\n.\r\n", b"\n.\r\n", b"\r.\r\n",
    b"\r\n.\n", b"\r", b"\n", b"\0", b"x" * 1000, b"\xc3", b"Received: x\r\n" * 60,
)  # fmt: skip


class Conversation:
    """One core and all that the other side of each of its events remembers."""

    def __init__(self, policy: Policy = POLICY) -> None:
        self.core = Server(policy)
        self.sent = b""
        self.asked: dict[int, Ask] = {}
        self.said_yes: set[bytes] = set()  # tickets that were given
        self.offered: Offer | None = None
        self.content: list[bytes] = []
        self.taken: list[tuple[Offer, bytes]] = []
        self.awaits_conclusion = self.awaits_tls = self.over = False
        self.commands = 0
        self.final_replies = 0  # each counted once however many lines it has
        self._tickets = 0
        self._do(self.core.greet())

    # --- what may happen

    def say(self, octets: bytes) -> None:
        """The client says *octets*. A driver does not read while TLS is due."""
        if not self.over and not self.awaits_tls:
            self.commands += octets.count(b"\n")
            self._do(self.core.receive(octets))

    def answer(self, word: Word, *, which: int = 0, late: bool = False, detail: bytes = b"") -> None:
        """The directory answers one of the open questions with *word*."""
        if self.asked:
            number = list(self.asked)[which % len(self.asked)]
            del self.asked[number]
            ticket = b""
            if word is Word.ACCEPT:
                self._tickets += 1
                ticket = b"ticket %d" % self._tickets
                self.said_yes.add(ticket)
            self._do(self.core.verdict(number, Verdict(word, b"", 1, ticket, late, detail)))

    def conclude(self, *, taken: bool) -> None:
        """The enqueuer takes the message, or not - the latter at any time after it was offered."""
        if taken and self.awaits_conclusion:
            self.awaits_conclusion = False
            assert self.offered is not None
            self.taken.append((self.offered, b"".join(self.content)))
            self.offered = None
            self._do(self.core.taken(b"0" * 20))
        elif not taken and (self.awaits_conclusion or self.offered is not None):
            self.awaits_conclusion, self.offered = False, None
            self._do(self.core.declined(replies.TRY_LATER))

    def secure(self) -> None:
        """The handshake went well."""
        if self.awaits_tls:
            self.awaits_tls = False
            said = self.sent
            self._do(self.core.secured(TLS))
            if not self.over and self.core.phase is Phase.COMMANDS and not self.core.waiting:
                assert self.sent == said, "nobody asked for anything under TLS yet"
                self.say(b"MAIL FROM:<a@b.test>\r\n")
                assert self.sent.splitlines()[-1][:3] in (b"503", b"421"), "a HELO in the clear counts under TLS"

    def happen(self, what: str) -> None:
        """The connection or the house comes to an end in one of the ways there are."""
        if what == "end of input":
            self._do(self.core.end_of_input())
        elif what == "lost":
            self._do(self.core.lost())
            self.asked.clear()
            self.awaits_tls = False
        elif what == "wind up":
            self._do(self.core.wind_up(replies.STOPPING))
        else:
            self._do(self.core.break_off(replies.TIMED_OUT))

    def settle(self, word: Word = Word.ACCEPT) -> None:
        """Answer all that is open."""
        while not self.over and (self.asked or self.awaits_conclusion or self.awaits_tls):
            if self.asked:
                self.answer(word)
            elif self.awaits_conclusion:
                self.conclude(taken=True)
            else:
                self.secure()

    # --- what comes of it

    def _do(self, events: list[Event]) -> None:
        for event in events:
            assert not self.over, f"{event} behind HangUp"
            self._carry_out(event)
        self._look()

    def _carry_out(self, event: Event) -> None:
        if isinstance(event, Send):
            self._check_replies(event.octets)
            self.sent += event.octets
        elif isinstance(event, Ask):
            assert event.number not in self.asked
            self.asked[event.number] = event
        elif isinstance(event, Offer):
            self._check_offer(event)
        elif isinstance(event, Block):
            self._check_block(event)
        elif isinstance(event, Withdraw):
            assert self.offered is not None, "withdrawn and never offered"
            assert not self.awaits_conclusion, "withdrawn after its end was passed on"
            self.offered = None
        elif isinstance(event, StartTls):
            self.awaits_tls = True
            assert self.core.pending == 0
        elif isinstance(event, HangUp):
            self.over = True
            self.asked.clear()
        else:
            assert isinstance(event, Note)
            assert all(isinstance(value, int) or len(value) <= 1000 for value in event.pairs.values())

    def _check_replies(self, octets: bytes) -> None:
        for line in octets.splitlines(keepends=True):
            assert _LINE.match(line), line
            assert len(line) <= MAX_REPLY_LINE
            self.final_replies += line[3:4] == b" "

    def _check_offer(self, offer: Offer) -> None:
        assert self.offered is None, "two messages at once"
        assert offer.recipients
        assert {recipient.ticket for recipient in offer.recipients} <= self.said_yes, "offered, and nobody said yes"
        assert len(offer.recipients) <= POLICY.max_recipients
        self.offered, self.content = offer, []

    def _check_block(self, block: Block) -> None:
        assert self.offered is not None, "content of nothing"
        assert not self.awaits_conclusion, "content behind the end"
        assert len(block.octets) <= BLOCK
        self.content.append(block.octets)
        content = b"".join(self.content)
        # A block may end between CR and LF of a line end; the next one, or the end, shows which it was.
        assert not _BARE.search(content if block.last else content.removesuffix(b"\r")), (
            "another server would read it differently"
        )
        assert len(content) <= POLICY.max_message_size
        self.awaits_conclusion = block.last

    def _look(self) -> None:
        core = self.core
        if not core.waiting and not self.over:
            assert core.pending <= MAX_COMMAND_LINE, "input is kept that nobody waits for"
        parts = core._intake._parts if core._intake is not None else []
        assert len(parts) <= MAX_PARTS
        kept = sum(map(len, parts))
        assert kept <= 2 * BLOCK + MAX_COMMAND_LINE + 70_000, (
            "more of a message is kept than a block and what came with it"
        )
        # The greeting, one for each line, and a farewell that nobody asked for.
        assert self.final_replies <= self.commands + 2


def run(octets: bytes) -> Conversation:
    """The conversation that *octets* choose."""
    dice, talk = Dice(octets), Conversation()
    while dice and not talk.over:
        choice = dice.octet()
        if choice < 110:
            talk.say(WORDS_OF_CLIENTS[choice % len(WORDS_OF_CLIENTS)])
        elif choice < 150:
            talk.say(dice.line())
        elif choice < 160:
            talk.say(b"".join(dice.one_of(WORDS_OF_CLIENTS) for _ in range(dice.octet() % 16)))
        elif choice < 165:
            talk.say(b"y" * 70 * 998)
        elif choice < 200:
            talk.answer(Word.ACCEPT, which=choice)
        elif choice < 215:
            talk.answer(
                dice.one_of(WORDS), which=dice.octet(), late=choice % 2 == 0, detail=b"zen.example" * (choice % 3)
            )
        elif choice < 225:
            talk.conclude(taken=True)
        elif choice < 230:
            talk.conclude(taken=False)
        elif choice < 240:
            talk.secure()
        elif choice < 250:
            talk.settle()
        else:
            talk.happen(("end of input", "wind up", "break off", "lost")[choice % 4])
    return talk


def lockstep(octets: bytes) -> None:
    """One command at a time: each gets exactly one reply, whatever it is."""
    dice, talk = Dice(octets), Conversation()
    while dice and not talk.over:
        line = dice.one_of(WORDS_OF_CLIENTS) if dice.octet() % 2 else dice.line() + b"\r\n"
        line = line.replace(b"\n", b"").replace(b"\r", b"") + b"\r\n"
        if talk.core.phase is not Phase.COMMANDS or line[:5].upper() in (b"BDAT ", b"START"):
            talk.say(line)
            talk.settle()
            continue
        before = talk.final_replies
        talk.say(line)
        talk.settle(dice.one_of(WORDS))
        # A farewell because of too many commands or errors comes beside the reply to the last of them.
        assert 1 <= talk.final_replies - before <= 1 + talk.over, line


def chunked(octets: bytes) -> None:
    """However the same octets are cut, the client reads the same and the enqueuer gets the same."""
    dice = Dice(octets)
    cuts = [dice.octet() for _ in range(8)]
    text = b"".join(dice.one_of(WORDS_OF_CLIENTS) if dice.octet() % 4 else dice.line() for _ in range(60) if dice)
    if b"STARTTLS" in text.upper():
        return  # What is pipelined behind it must make a difference (RFC 3207 6).
    whole, pieces = Conversation(), Conversation()
    whole.say(text)
    whole.settle()
    position = said = 0
    while position < len(text):
        step = 1 + cuts[position % 8] if said < MAX_PIECES else len(text)
        said += 1
        pieces.say(text[position : position + step])
        pieces.settle()
        position += step
    assert (whole.sent, whole.taken, whole.over) == (pieces.sent, pieces.taken, pieces.over)
