"""A directory that needs no snapshot: the local-part says what it answers.

`unknown@`, `suspended@`, `full@`, `slow-down@`, `try-later@`: that word. `silent@`: nothing. `dies@`: it ends.
`late-<word>@`: the word, a while later. `told-<word>@`: the word with a detail. Any other at example.test: accept; any other
domain: foreign, for who logged in accept. At data.test the same, but marked as told after the content only.
"""

import sys

from mta import roster
from mta.vocabulary import Word
from mta.wire import messages as m
from mta.wire import tickets
from mta.wire.channel import Channel, Packet
from mta.wire.control import Peers, begin, now
from mta.wire.loop import Loop

LATE_SECONDS = 0.3
DETAIL = b"In words of the directory's own"
DOMAINS = frozenset({b"example.test", b"mx.example.test", b"data.test", "bücher.test".encode()})
_WORDS = {word.value: word for word in Word}


def word_for(forward_path: bytes) -> Word:
    """What the address itself asks for."""
    local_part, _, domain = forward_path.rpartition(b"@")
    if domain.lower() not in DOMAINS:
        return Word.FOREIGN
    return _WORDS.get(local_part.removeprefix(b"late-").removeprefix(b"told-"), Word.ACCEPT)


def main() -> int:
    """Serve until told to stop."""
    start = begin(roster.DIRECTORY)
    ticket_key, session_key = start.settings[roster.TICKET_KEY], start.settings[roster.SESSION_KEY]
    loop = Loop()

    def answer(channel: Channel, question: m.Question, word: Word) -> None:
        expiry = now() + 3600
        ticket = b""
        if word is Word.ACCEPT:
            ticket = tickets.ticket(
                ticket_key, question.session, question.reverse_path, question.forward_path, b"", expiry
            )
        late = question.forward_path.endswith(b"@data.test")
        detail = DETAIL if question.forward_path.startswith(b"told-") else b""
        channel.send(m.Verdict(question.tag, word.value, b"", expiry, ticket, late, detail))

    def has_logged_in(question: m.Question) -> bool:
        return tickets.login_ticket_holds(
            ticket_key, question.login, question.session, question.identity, question.login_expiry, now()
        )

    def asked(channel: Channel, packet: Packet) -> None:
        question = packet[0]
        assert isinstance(question, m.Question)
        if not tickets.session_token_holds(session_key, question.token, question.session, question.client):
            channel.close()  # as the real one: whoever forges a token is hung up on
            return
        local_part = question.forward_path.rpartition(b"@")[0]
        if local_part == b"dies":
            sys.exit(1)
        if local_part == b"silent":
            return
        word = word_for(question.forward_path)
        if word is Word.FOREIGN and has_logged_in(question):
            word = Word.ACCEPT
        if local_part.startswith(b"late-"):
            loop.call_later(LATE_SECONDS, lambda: answer(channel, question, word))
        else:
            answer(channel, question, word)

    peers = Peers(roster.DIRECTORY, start, loop, {"smtpd": asked, "submissiond": asked})
    peers.ready()
    loop.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
