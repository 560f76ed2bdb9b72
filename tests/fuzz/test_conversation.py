"""The session core as a state machine: every step that a driver may take, in every order that hypothesis thinks of."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from mta.vocabulary import Word
from tests.fuzz.conversation import WORDS_OF_CLIENTS, Conversation

WORDS = st.sampled_from(list(Word))
PIECES = st.one_of(st.sampled_from(WORDS_OF_CLIENTS), st.binary(max_size=40))


class Talk(RuleBasedStateMachine):
    """`Conversation` looks after each step whether all is as it must be."""

    def __init__(self) -> None:
        super().__init__()
        self.talk = Conversation()

    @rule(pieces=st.lists(PIECES, min_size=1, max_size=6))
    def say(self, pieces: list[bytes]) -> None:
        self.talk.say(b"".join(pieces))

    @rule()
    def begin_a_message(self) -> None:
        self.talk.say(b"EHLO a\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<joe@b.test>\r\n")

    @rule(octets=st.integers(min_value=1, max_value=300))
    def say_much(self, octets: int) -> None:
        self.talk.say(b"z" * 998 * octets)

    @precondition(lambda self: self.talk.asked)
    @rule(word=WORDS, which=st.integers(min_value=0, max_value=9), late=st.booleans(), detail=st.binary(max_size=20))
    def answer(self, word: Word, which: int, late: bool, detail: bytes) -> None:
        self.talk.answer(word, which=which, late=late, detail=detail)

    @precondition(lambda self: self.talk.asked)
    @rule(which=st.integers(min_value=0, max_value=9))
    def accept(self, which: int) -> None:
        self.talk.answer(Word.ACCEPT, which=which)

    @precondition(lambda self: self.talk.awaits_conclusion or self.talk.offered is not None)
    @rule(taken=st.booleans())
    def conclude(self, taken: bool) -> None:
        self.talk.conclude(taken=taken)

    @precondition(lambda self: self.talk.awaits_tls)
    @rule()
    def secure(self) -> None:
        self.talk.secure()

    @rule(what=st.sampled_from(["end of input", "lost", "wind up", "break off"]))
    def end(self, what: str) -> None:
        self.talk.happen(what)

    def teardown(self) -> None:
        self.talk.settle()


TestTalk = Talk.TestCase
TestTalk.settings = settings(max_examples=150, stateful_step_count=40, suppress_health_check=[HealthCheck.too_slow])
