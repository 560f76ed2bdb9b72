"""An authenticator without hashes for the roles that let users log in: the name says how it behaves.

Every password but `secret` is wrong. `away@`: nobody can tell. `silent@`: no answer. `dies@`: it ends instead of answering.
SCRAM: a challenge that repeats the client's nonce; a final message that ends with `p=proof` is right, and begun by `n=away@`
nobody can tell. Who logged in may write from its own address, from the null reverse-path and from `alias@`; about
`unsure@` nobody is told anything, and about `stranger@` no rule.

`log_in` in the folder has a line for each question: its class, the name, and how long the secret was.
"""

import os
import sys
from pathlib import Path

from mta import roster
from mta.wire import messages as m
from mta.wire import tickets
from mta.wire.channel import Channel, Packet
from mta.wire.control import Peers, Start, begin, now
from mta.wire.loop import Loop

PASSWORD = b"secret"
PROOF = b"p=proof"
SERVER_FINAL = b"v=server"
RULE = b"joe@example.test does not stand among your addresses"
LOGIN_SECONDS = 7200


class Authenticator:
    """Answers."""

    def __init__(self, start: Start) -> None:
        self.key, self.session_key = start.settings[roster.TICKET_KEY], start.settings[roster.SESSION_KEY]
        self.log = Path(start.text("fake.folder")) / "log_in"
        self.scrams: dict[tuple[Channel, int], tuple[m.ScramBegin, bytes]] = {}

    def hear(self, channel: Channel, packet: Packet) -> None:
        message = packet[0]
        if isinstance(message, m.LogIn | m.ScramBegin):
            assert tickets.session_token_holds(self.session_key, message.token, message.session, message.client)
        if isinstance(message, m.LogIn):
            self.note(message, message.name, message.secret)
            self.log_in(channel, message)
        elif isinstance(message, m.ScramBegin):
            self.note(message, message.first, b"")
            name, nonce = (part.partition(b"=")[2] for part in message.first.split(b",")[2:4])
            self.scrams[channel, message.tag] = (message, name)
            channel.send(m.ScramChallenge(message.tag, b"r=%bserver,s=c2FsdA==,i=4096" % nonce))
        elif isinstance(message, m.ScramEnd):
            self.note(message, message.final, b"")
            self.end_scram(channel, message)
        elif isinstance(message, m.MayUse):
            self.may_use(channel, message)

    def note(self, message: m.Message, name: bytes, secret: bytes) -> None:
        with self.log.open("a") as file:
            file.write(f"{type(message).__name__} {name.decode()} {len(secret)}\n")

    def log_in(self, channel: Channel, question: m.LogIn) -> None:
        if question.name.startswith(b"dies@"):
            os._exit(1)
        if question.name.startswith(b"silent@"):
            return
        word = b"later" if question.name.startswith(b"away@") else b"right" if question.secret == PASSWORD else b"wrong"
        expiry, ticket = self.proof(word, question.session, question.name)
        channel.send(m.LoggedIn(question.tag, word, question.name if ticket else b"", expiry, ticket))

    def end_scram(self, channel: Channel, end: m.ScramEnd) -> None:
        begun, name = self.scrams.pop((channel, end.tag))
        if not end.final:
            return
        word = b"later" if name.startswith(b"away@") else b"right" if end.final.endswith(PROOF) else b"wrong"
        expiry, ticket = self.proof(word, begun.session, name)
        final = SERVER_FINAL if ticket else b""
        channel.send(m.ScramDone(end.tag, word, final, name if ticket else b"", expiry, ticket))

    def proof(self, word: bytes, session: bytes, identity: bytes) -> tuple[int, bytes]:
        if word != b"right":
            return 0, b""
        expiry = now() + LOGIN_SECONDS
        return expiry, tickets.login_ticket(self.key, session, identity, expiry, b"password")

    def may_use(self, channel: Channel, question: m.MayUse) -> None:
        holds = tickets.login_ticket_holds(
            self.key, question.ticket, question.session, question.identity, question.expiry, now()
        )
        assert holds, "asked for somebody who did not log in"
        local_part = question.address.partition(b"@")[0]
        if local_part == b"unsure":
            return
        yes = question.address in (b"", question.identity) or local_part == b"alias"
        until = now() + LOGIN_SECONDS
        ticket = tickets.sender_ticket(self.key, question.session, question.identity, question.address, until)
        channel.send(
            m.Using(
                question.tag,
                yes,
                b"" if yes or local_part == b"stranger" else RULE,
                until if yes else 0,
                ticket if yes else b"",
            )
        )


def main() -> int:
    """Serve until told to stop."""
    start = begin(roster.AUTHENTICATOR)
    loop = Loop()
    authenticator = Authenticator(start)
    peers = Peers(roster.AUTHENTICATOR, start, loop, {"submissiond": authenticator.hear})
    peers.ready()
    loop.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
