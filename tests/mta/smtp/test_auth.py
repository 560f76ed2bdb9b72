"""AUTH in the core: every order of events, whatever the authenticator answers and whenever, and nothing that outlives it."""

import binascii

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mta.smtp import auth, replies
from mta.smtp.events import (
    Ask,
    AskSender,
    Event,
    HangUp,
    LogIn,
    Login,
    LoginAnswer,
    Note,
    Offer,
    ScramBegin,
    ScramEnd,
    Send,
    SenderAnswer,
    Verdict,
)
from mta.smtp.replies import Refused
from mta.smtp.server import Phase, Policy, Server
from mta.vocabulary import Word

POLICY = Policy(
    hostname=b"mx.example.test", max_message_size=100_000, max_recipients=3, max_errors=50, max_fruitless_commands=90,
    starttls=True, mechanisms=tuple(auth.MECHANISMS),
)  # fmt: skip
JOE = Login(b"joe@example.test", 1000, b"login ticket")
RIGHT = LoginAnswer(True, JOE)
PLAIN = binascii.b2a_base64(b"\0joe@example.test\0secret", newline=False)


class User:
    """A client of submission, and the authenticator's place."""

    def __init__(self, policy: Policy = POLICY, *, implicit: bool = True) -> None:
        self.server = Server(policy, implicit_tls=implicit)
        self.events: list[Event] = []
        if implicit:
            self.do(self.server.secured(b"TLSv1.3 X"))
        else:
            self.do(self.server.greet())

    def do(self, events: list[Event]) -> None:
        self.events += events

    def say(self, *lines: bytes) -> list[int]:
        """The codes of the replies to *lines*."""
        before = len(self.events)
        for line in lines:
            self.do(self.server.receive(line + b"\r\n"))
        return self.codes(before)

    def hear(self, answer: LoginAnswer | SenderAnswer) -> list[int]:
        before = len(self.events)
        told = self.server.logged_in if isinstance(answer, LoginAnswer) else self.server.sender_judged
        self.do(told(answer))  # type: ignore[operator]
        return self.codes(before)

    def codes(self, since: int = 0) -> list[int]:
        sent = b"".join(event.octets for event in self.events[since:] if isinstance(event, Send))
        return [int(line[:3]) for line in sent.splitlines() if line[3:4] == b" "]

    def log_in(self) -> None:
        assert self.say(b"EHLO a", b"AUTH PLAIN " + PLAIN) == [250]
        assert self.hear(RIGHT) == [235]

    @property
    def over(self) -> bool:
        return any(isinstance(event, HangUp) for event in self.events)


def test_what_the_authenticator_hears_is_what_the_client_meant() -> None:
    """PLAIN with and without initial response, LOGIN likewise: name and secret, octet by octet."""
    name, secret = b"joe@example.test", b"p\xc3\xa4ss word"
    joined = binascii.b2a_base64(b"\0%b\0%b" % (name, secret), newline=False)
    halves = [binascii.b2a_base64(part, newline=False) for part in (name, secret)]
    for lines in (
        [b"AUTH PLAIN " + joined], [b"AUTH PLAIN", joined], [b"auth login", *halves], [b"AUTH LOGIN " + halves[0], halves[1]],
    ):  # fmt: skip
        user = User()
        user.say(b"EHLO a", *lines)
        assert user.events[-1] == LogIn(name, secret)
        assert user.server.waiting


def test_the_login_goes_with_every_question_and_message() -> None:
    """Ask, AskSender and Offer bear it; they would not without, and RSET and EHLO keep it."""
    user = User()
    user.log_in()
    user.say(b"EHLO again", b"RSET", b"MAIL FROM:<joe@example.test>")
    assert user.events[-1] == AskSender(b"joe@example.test", JOE)
    assert user.hear(SenderAnswer(True)) == [250]
    user.say(b"RCPT TO:<ann@elsewhere.test>")
    ask = user.events[-1]
    assert isinstance(ask, Ask)
    assert ask.login == JOE
    user.do(user.server.verdict(ask.number, Verdict(Word.ACCEPT, b"", 1, b"t")))
    user.say(b"DATA", b"hi", b".")
    (offer,) = [event for event in user.events if isinstance(event, Offer)]
    assert (offer.login, offer.protocol) == (JOE, b"ESMTPSA")


@pytest.mark.parametrize("answer", [LoginAnswer(False), LoginAnswer(None)])
def test_no_answer_but_right_lets_anybody_in(answer: LoginAnswer) -> None:
    """And the next attempt begins from the beginning."""
    user = User()
    user.say(b"EHLO a", b"AUTH PLAIN " + PLAIN)
    assert user.hear(answer) == [454 if answer.right is None else 535]
    assert user.say(b"MAIL FROM:<joe@example.test>") == [530]
    assert user.hear(RIGHT) == [], "an answer that nobody waits for"
    assert user.say(b"MAIL FROM:<joe@example.test>") == [530]
    user.log_in()


def test_being_away_is_not_being_wrong() -> None:
    """However often nobody could tell, the client may go on; what is wrong is counted over all mechanisms."""
    user = User()
    user.say(b"EHLO a")
    for _ in range(10):
        user.say(b"AUTH PLAIN " + PLAIN)
        assert user.hear(LoginAnswer(None)) == [454]
    for number in range(auth.MAX_AUTH_FAILURES):
        assert not user.over
        user.say(b"AUTH SCRAM-SHA-256 " + PLAIN if number % 2 else b"AUTH PLAIN " + PLAIN)
        codes = user.hear(LoginAnswer(False))
    assert codes == [535, 421]
    assert user.over
    assert [event.name for event in user.events if isinstance(event, Note)] == ["refused"]


def test_a_refusal_says_who_had_logged_in() -> None:
    """So that he finds it; and says it of nobody who had not."""
    user = User()
    user.say(b"EHLO a", b"AUTH PLAIN " + PLAIN)
    user.hear(LoginAnswer(True, Login(b"joe@a.test", 9, b"t")))
    for number in range(200):
        if user.over:
            break
        user.say(b"NONSENSE %d" % number)
    refused = [event for event in user.events if isinstance(event, Note) and event.name == "refused"]
    assert refused
    assert {event.pairs["identity"] for event in refused} == {b"joe@a.test"}


def test_scram_is_over_only_when_the_client_took_the_last_word() -> None:
    """The server's final message is a challenge; until its empty answer nobody is logged in (RFC 4954 4)."""
    user = User()
    user.say(b"EHLO a", b"AUTH SCRAM-SHA-256 " + PLAIN)
    assert user.events[-1] == ScramBegin(b"\0joe@example.test\0secret")
    user.do(user.server.challenged(b"r=x"))
    assert user.events[-1] == Send(b"334 cj14\r\n")
    user.say(b"cD15")
    assert user.events[-1] == ScramEnd(b"p=y")
    assert user.hear(LoginAnswer(True, JOE, b"v=z")) == [334]
    assert user.say(b"") == [235]
    user.say(b"MAIL FROM:<joe@example.test>")
    assert user.events[-1] == AskSender(b"joe@example.test", JOE)


@pytest.mark.parametrize("how", ["cancel", "lost", "end of input", "wind up", "too long", "junk"])
def test_an_exchange_that_ends_early_is_told_to_the_authenticator(how: str) -> None:
    """Once, with an empty message, and nobody is logged in whatever it answers then."""
    user = User()
    user.say(b"EHLO a", b"AUTH SCRAM-SHA-256 " + PLAIN)
    user.do(user.server.challenged(b"r=x"))
    if how == "cancel":
        assert user.say(b"*") == [501]
    elif how == "lost":
        user.do(user.server.lost())
    elif how == "end of input":
        user.do(user.server.end_of_input())
    elif how == "wind up":
        user.do(user.server.wind_up(replies.STOPPING))
        assert user.codes()[-1] == 421
    elif how == "too long":
        assert user.say(b"A" * auth.MAX_AUTH_LINE) == [500]
    else:
        assert user.say(b"not base64") == [501]
    assert [event for event in user.events if isinstance(event, ScramEnd)] == [ScramEnd(b"")]
    assert user.hear(LoginAnswer(True, JOE, b"v=z")) == []
    assert user.over == (how in {"lost", "end of input", "wind up"})


def test_a_challenge_out_of_turn_ends_the_log_in() -> None:
    """To a password, or to the end of an exchange: nobody can tell, and nobody waits for an answer that will not come."""
    user = User()
    user.say(b"EHLO a", b"AUTH PLAIN " + PLAIN)
    for _ in range(2):
        user.do(user.server.challenged(b"r=x"))
        assert user.codes()[-1] == 454
        assert not user.server.waiting
        user.say(b"AUTH SCRAM-SHA-256 " + PLAIN)
        user.do(user.server.challenged(b"r=x"))
        user.say(b"cD15")
    user.do(user.server.challenged(b"r=y"))
    assert user.codes()[-1] == 454
    assert [event.final for event in user.events if isinstance(event, ScramEnd)] == [b"p=y"] * 2


def test_a_wind_up_waits_for_what_the_authenticator_has_in_hand() -> None:
    """Its answer is told before the 421."""
    user = User()
    user.say(b"EHLO a", b"AUTH PLAIN " + PLAIN)
    user.do(user.server.wind_up(replies.STOPPING))
    assert not user.over
    assert user.hear(RIGHT) == [235, 421]
    assert user.over


def test_a_response_may_be_long_and_a_command_may_not() -> None:
    """12,288 octets with CRLF (RFC 4954 4) in either place; one more, and it is not read. Other commands stay short."""
    most = b"A" * (auth.MAX_AUTH_LINE - 2)
    for begin, room in ((b"AUTH PLAIN ", len(b"AUTH PLAIN ")), (b"", 0)):
        user = User()
        user.say(b"EHLO a")
        if not begin:
            user.say(b"AUTH PLAIN")
        line = begin + most[room:]
        assert user.say(line) == [501], "read, and no base64 or nothing that PLAIN says"
        if not begin:
            user.say(b"AUTH PLAIN")
        assert user.say(line + b"A") == [500]
        assert user.say(b"NOOP " + b"x" * 2048) == [500]
        assert user.server.pending == 0


def test_input_beyond_the_limit_is_not_kept() -> None:
    """A client that never ends its line costs no more than the limit."""
    user = User()
    user.say(b"EHLO a", b"AUTH PLAIN")
    for _ in range(100):
        user.do(user.server.receive(b"A" * 4096))
        assert user.server.pending < auth.MAX_AUTH_LINE + 4096
    assert user.say(b"") == [500]
    user.log_in()


def test_what_is_asked_is_bounded_as_the_channel_is() -> None:
    """A name or secret that no message of the house could hold is wrong without being asked about."""
    user = User()
    user.say(b"EHLO a")
    for name, secret in ((b"n" * 1001, b"s"), (b"n", b"s" * 1001)):
        joined = binascii.b2a_base64(b"\0%b\0%b" % (name, secret), newline=False)
        assert user.say(b"AUTH PLAIN " + joined) == [535]
    assert user.say(b"AUTH SCRAM-SHA-256 " + binascii.b2a_base64(b"n" * 1001, newline=False)) == [535]
    assert not [event for event in user.events if isinstance(event, LogIn | ScramBegin)]


def test_without_tls_nothing_is_asked() -> None:
    """Neither the initial response nor what follows reaches anybody; nothing of before survives the handshake."""
    user = User(implicit=False)
    assert user.say(b"EHLO a", b"AUTH PLAIN " + PLAIN, b"MAIL FROM:<joe@example.test>") == [250, 538, 530]
    user.say(b"STARTTLS")
    user.do(user.server.secured(b"TLSv1.3 X"))
    assert user.say(b"AUTH PLAIN " + PLAIN) == [503]
    assert not [event for event in user.events if isinstance(event, LogIn)]
    user.log_in()


def test_the_greeting_comes_after_the_handshake_where_that_comes_first() -> None:
    """Once; and what STARTTLS has to say stays unsaid."""
    user = User()
    assert user.codes() == [220]
    assert user.say(b"EHLO a", b"STARTTLS") == [250, 503]


def test_a_sender_is_judged_before_the_next_command() -> None:
    """RCPT and DATA of a pipelined group wait for the answer; no or unknown, and there is no message for them."""
    for answer, expected in ((SenderAnswer(False, b"not yours\r\n250 forged"), 550), (SenderAnswer(None), 451)):
        user = User()
        user.log_in()
        assert user.say(b"MAIL FROM:<x@y.test>", b"RCPT TO:<a@b.test>", b"DATA") == []
        assert not [event for event in user.events if isinstance(event, Ask)]
        assert user.hear(answer) == [expected, 503, 503]
        sent = b"".join(event.octets for event in user.events if isinstance(event, Send))
        assert b"\n250 forged" not in sent
        assert not [event for event in user.events if isinstance(event, Ask)]


def test_an_answer_after_the_end_does_nothing() -> None:
    """Whatever comes late, to whatever question."""
    user = User()
    user.say(b"EHLO a", b"AUTH PLAIN " + PLAIN)
    user.do(user.server.break_off(replies.TIMED_OUT))
    before = len(user.events)
    assert user.hear(RIGHT) == []
    assert user.hear(SenderAnswer(True)) == []
    user.do(user.server.challenged(b"x"))
    assert len(user.events) == before
    assert user.server.phase is Phase.OVER


@given(st.binary(max_size=200), st.text("ABab12+/=", max_size=9).map(str.encode))
def test_a_response_is_base64_or_refused(octets: bytes, text: bytes) -> None:
    """What is encoded is decoded; of anything else nothing is guessed: no line breaks, no other alphabet, no half group."""
    encoded = binascii.b2a_base64(octets, newline=False)
    assert auth.decode(encoded or b"=") == octets
    for wrong in (encoded + b"\r", encoded + b"-", b" " + encoded, encoded + b"A", octets + b"\xff", b"==" + text):
        with pytest.raises(Refused) as refused:
            auth.decode(wrong)
        assert refused.value.reply is replies.NOT_BASE64


class Bearer:
    """RFC 7628 3.1, as far as a conversation needs it: whose token it is, and the token."""

    prompt = b""

    def respond(self, response: bytes) -> auth.Step:
        gs2_header, *pairs, _, _ = response.split(b"\1")
        values = dict(pair.split(b"=", 1) for pair in pairs)
        return LogIn(gs2_header.split(b",")[1].removeprefix(b"a="), values[b"auth"].removeprefix(b"Bearer "))

    def abandon(self) -> list[Event]:
        return []


WITH_BEARER = Policy(hostname=b"mx.example.test", max_errors=50, starttls=True, mechanisms=(b"PLAIN", b"OAUTHBEARER"))
TOKEN = binascii.b2a_base64(b"n,a=joe@example.test,\1host=mx\1auth=Bearer " + b"t" * 2500 + b"\1\1", newline=False)


@pytest.fixture
def bearer(monkeypatch: pytest.MonkeyPatch) -> User:
    monkeypatch.setitem(auth.MECHANISMS, b"OAUTHBEARER", Bearer)
    user = User(WITH_BEARER)
    assert user.say(b"EHLO a") == [250]
    return user


def test_a_mechanism_of_tokens_is_one_class_more(bearer: User) -> None:
    """RFC 7628: a token of kilobytes in one line is the authenticator's to judge."""
    assert b"OAUTHBEARER" not in POLICY.mechanisms, "nobody here could tell whose token it is"
    bearer.say(b"AUTH OAUTHBEARER " + TOKEN)
    assert bearer.events[-1] == LogIn(b"joe@example.test", b"t" * 2500)
    assert bearer.hear(RIGHT) == [235]


@pytest.mark.parametrize("answer", [b"AQ==", b"", b"*", b"what?", PLAIN])
def test_why_a_token_is_wrong_is_said_before_it_is_refused(bearer: User, answer: bytes) -> None:
    """RFC 7628 3.2.2, 3.2.3: 334 with the reasons, then 535, whatever the client says to that; and each counts."""
    for number in range(auth.MAX_AUTH_FAILURES):
        bearer.say(b"AUTH OAUTHBEARER " + TOKEN)
        assert bearer.hear(LoginAnswer(False, server_final=b'{"status":"invalid_token"}')) == [334]
        assert bearer.say(answer) == ([535] if number + 1 < auth.MAX_AUTH_FAILURES else [535, 421])
    assert bearer.over


@settings(max_examples=200)
@given(
    st.lists(
        st.one_of(
            st.sampled_from([
                b"EHLO a", b"AUTH PLAIN " + PLAIN, b"AUTH PLAIN", b"AUTH LOGIN", b"AUTH SCRAM-SHA-256", PLAIN, b"*", b"=", b"",
                b"MAIL FROM:<a@b.test>", b"RCPT TO:<a@b.test>", b"RSET", b"NOOP", b"HELP AUTH",
            ]),
            st.sampled_from([
                RIGHT, LoginAnswer(False), LoginAnswer(None), LoginAnswer(True, JOE, b"v=z"), SenderAnswer(True),
                SenderAnswer(False, b"no"), SenderAnswer(None), b"challenge",
            ]).map(lambda answer: (answer,)),
        ),
        max_size=40,
    )
)  # fmt: skip
def test_no_order_of_words_and_answers_lets_a_message_begin_without_a_login(steps: list[object]) -> None:
    """Every question about a recipient bears a login that somebody answered `right` to."""
    user, right = User(), False
    for step in steps:
        if isinstance(step, bytes):
            user.say(step)
            continue
        assert isinstance(step, tuple)
        answer = step[0]
        right = right or (isinstance(answer, LoginAnswer) and bool(answer.right) and user.server.phase is Phase.LOGIN)
        if isinstance(answer, bytes):
            user.do(user.server.challenged(answer))
        else:
            user.hear(answer)
    for event in user.events:
        if isinstance(event, Ask | AskSender):
            assert right
            assert event.login == JOE
