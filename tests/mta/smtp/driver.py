"""Drives the session core as a shell would, and keeps what came out of it."""

from mta.smtp.events import Ask, Block, Event, HangUp, Send, Verdict
from mta.smtp.server import Policy, Server
from mta.vocabulary import Word

POLICY = Policy(
    hostname=b"mx.example.test", max_message_size=100_000, max_recipients=3, max_errors=4, max_fruitless_commands=12,
    starttls=True,
)  # fmt: skip
WORDS = {word.value: word for word in Word}
ACCEPT = Verdict(Word.ACCEPT, b"", 1, b"ticket")


class Driver:
    """Answers questions at once or, when `late`, only when no input is left.

    The words come from the local-parts; those about late.test are told after the content.
    """

    def __init__(self, policy: Policy = POLICY, *, late: bool = False) -> None:
        self.server = Server(policy)
        self.late = late
        self.events: list[Event] = []
        self.sent = b""
        self.asked: list[Ask] = []
        self.commits = 0
        self.over = False
        self.carry_out(self.server.greet())

    def say(self, octets: bytes) -> None:
        self.carry_out(self.server.receive(octets))

    def settle(self) -> None:
        while (self.asked or self.commits) and not self.over:
            if self.asked:
                ask = self.asked.pop(0)
                local_part, _, domain = ask.forward_path.partition(b"@")
                word = WORDS.get(local_part, Word.ACCEPT)
                verdict = Verdict(word, b"", 1, b"ticket", domain == b"late.test")
                self.carry_out(self.server.verdict(ask.number, verdict))
            else:
                self.commits -= 1
                self.carry_out(self.server.taken(b"0" * 20))

    def carry_out(self, events: list[Event]) -> None:
        for event in events:
            assert not self.over, "an event behind HangUp"
            self.events.append(event)
            if isinstance(event, Send):
                self.sent += event.octets
            elif isinstance(event, Ask):
                self.asked.append(event)
            elif isinstance(event, Block) and event.last:
                self.commits += 1
            elif isinstance(event, HangUp):
                self.over = True
        if not self.late:
            self.settle()

    def count(self, kind: type[Event]) -> int:
        return sum(isinstance(event, kind) for event in self.events)

    def content(self) -> bytes:
        return b"".join(event.octets for event in self.events if isinstance(event, Block))
