"""As `conversation`, where users log in: an authenticator that answers anything at any moment stands beside the others.

What it looks at beside all that `conversation` looks at: nobody is asked for a password in the clear; every question and
every message bears a login that the authenticator said `right` to, in this conversation, while it was asked; and what an
exchange left open is told to it.
"""

from mta.smtp import auth, replies
from mta.smtp.events import (
    Ask,
    AskSender,
    Event,
    LogIn,
    Login,
    LoginAnswer,
    Offer,
    ScramBegin,
    ScramEnd,
    SenderAnswer,
)
from mta.smtp.server import Phase, Policy
from mta.vocabulary import Word
from tests.fuzz.conversation import POLICY as SMTP
from tests.fuzz.conversation import WORDS_OF_CLIENTS, Conversation
from tests.fuzz.dice import Dice

POLICY = Policy(
    hostname=SMTP.hostname, max_message_size=SMTP.max_message_size, max_recipients=SMTP.max_recipients, max_errors=5,
    max_fruitless_commands=20, starttls=True, mechanisms=tuple(auth.MECHANISMS),
)  # fmt: skip
WORDS_OF_USERS = (
    *WORDS_OF_CLIENTS, b"AUTH PLAIN AGpvZQBzZWNyZXQ=\r\n", b"AUTH PLAIN\r\n", b"AGpvZQBzZWNyZXQ=\r\n", b"AUTH LOGIN\r\n",
    b"AUTH LOGIN am9l\r\n", b"am9l\r\n", b"AUTH SCRAM-SHA-256 biwsbj1qb2Uscj14\r\n", b"AUTH SCRAM-SHA-256 =\r\n", b"*\r\n",
    b"=\r\n", b"\r\n", b"AUTH\r\n", b"AUTH NTLM x\r\n", b"MAIL FROM:<a@b.test> AUTH=<>\r\n", b"AUTH PLAIN " + b"QUFB" * 3100,
    b"EHLO a.test\r\n", b"STARTTLS\r\n", b"MAIL FROM:<a@b.test>\r\n", b"RCPT TO:<joe@b.test>\r\n", b"DATA\r\n", b".\r\n",
)  # fmt: skip


class Submission(Conversation):
    """One core, all others, and the authenticator."""

    def __init__(self) -> None:
        self.right: set[Login] = set()  # whoever was let in
        self.wants_login = self.wants_sender = self.scram_open = False
        super().__init__(POLICY)

    def log_in(self, *, right: bool | None, final: bytes = b"") -> None:
        """The authenticator answers, asked or not; only what was asked for counts."""
        login = Login(b"user %d" % len(self.right), 1, b"login %d" % len(self.right))
        if self.wants_login:
            self.scram_open = False
            if right:
                self.right.add(login)
        self.wants_login = False
        self._do(self.core.logged_in(LoginAnswer(right, login if right else Login(), final)))

    def challenge(self, text: bytes) -> None:
        """It wants more."""
        self.wants_login = False
        self._do(self.core.challenged(text[:700]))

    def judge_sender(self, *, yes: bool | None, rule: bytes = b"") -> None:
        """It says whether the reverse-path may be used."""
        self.wants_sender = False
        self._do(self.core.sender_judged(SenderAnswer(yes, rule)))

    def settle(self, word: Word = Word.ACCEPT) -> None:
        """Answer all that is open."""
        super().settle(word)
        while not self.over and (self.wants_login or self.wants_sender):
            if self.wants_login:
                self.log_in(right=True)
            else:
                self.judge_sender(yes=True)
            super().settle(word)

    def _carry_out(self, event: Event) -> None:
        if isinstance(event, LogIn | ScramBegin):
            self._check_question()
            self.wants_login, self.scram_open = True, isinstance(event, ScramBegin)
            octets = (*event,)
            assert all(len(part) <= 1000 for part in octets), "no message of the house holds that"
        elif isinstance(event, ScramEnd):
            assert self.scram_open, "ended and never begun"
            self.scram_open, self.wants_login = False, bool(event.final)
        elif isinstance(event, AskSender):
            assert event.login in self.right
            self.wants_sender = True
        else:
            if isinstance(event, Ask | Offer):
                assert event.login in self.right, "nobody logged in"
            super()._carry_out(event)

    def _check_question(self) -> None:
        assert self.core._tls, "a password in the clear"
        assert not self.wants_login, "asked twice at once"

    def _look(self) -> None:
        if self.core.pending <= auth.MAX_AUTH_LINE and not self.core.waiting:
            return  # A response may be longer than a command; the rest is as with strangers.
        super()._look()
        if self.over:
            assert not self.scram_open, "left open"


def run(octets: bytes) -> Submission:
    """The conversation that *octets* choose."""
    dice, talk = Dice(octets), Submission()
    while dice and not talk.over:
        choice = dice.octet()
        if choice < 120:
            talk.say(WORDS_OF_USERS[choice % len(WORDS_OF_USERS)])
        elif choice < 140:
            talk.say(dice.line())
        elif choice < 150:
            talk.say(b"".join(dice.one_of(WORDS_OF_USERS) for _ in range(dice.octet() % 16)))
        elif choice < 165:
            talk.log_in(right=(None, False, True)[choice % 3], final=b"v=x" * (choice % 2))
        elif choice < 175:
            talk.challenge(dice.line())
        elif choice < 190:
            talk.judge_sender(yes=(None, False, True)[choice % 3], rule=dice.line())
        elif choice < 200:
            talk.answer(Word.ACCEPT, which=choice)
        elif choice < 215:
            talk.conclude(taken=bool(choice % 2))
        elif choice < 235:
            talk.secure()
        elif choice < 250:
            talk.settle()
        else:
            talk.happen(("end of input", "wind up", "break off", "lost")[choice % 4])
    return talk


def lockstep(octets: bytes) -> None:
    """One line at a time: each gets one reply, command or response; whoever never was right has no message begun."""
    dice, talk = Dice(octets), Submission()
    talk.say(b"STARTTLS\r\n")
    talk.secure()
    while dice and not talk.over and talk.core.phase in (Phase.COMMANDS, Phase.RESPONSE):
        line = dice.one_of(WORDS_OF_USERS) if dice.octet() % 2 else dice.line() + b"\r\n"
        line = line.replace(b"\n", b"").replace(b"\r", b"") + b"\r\n"
        if line[:5].upper() in (b"BDAT ", b"START"):
            continue
        before = talk.final_replies
        talk.say(line)
        while talk.wants_login or talk.wants_sender:
            if talk.wants_login:
                talk.log_in(right=(None, False, True)[dice.octet() % 3])
            else:
                talk.judge_sender(yes=(None, False, True)[dice.octet() % 3])
        Conversation.settle(talk)
        assert 1 <= talk.final_replies - before <= 1 + talk.over, line
        assert talk.right or replies.SENDER_OK.octets not in talk.sent
