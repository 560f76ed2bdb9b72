"""What a client hears that is turned away at the door, before any smtpd costs anything: why, and what to do about it.

A reader would otherwise get wrong: 421 says come back, 554 says do not (RFC 5321 3.1, 3.8). No text repeats what a client
sent, and each names a mend that the client's postmaster can carry out.
"""

from mta.record import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reply in the place of the greeting, and its reason's name in the journal."""

    reason: str
    reply: bytes


NOT_LISTED = Refusal("not-listed", b"")  # neither QMTP nor QMQP has a word for it
TOO_MANY = Refusal("connections", b"421 4.3.2 Too many connections here at the moment; try again in a minute\r\n")
TOO_MANY_OF_CLIENT = Refusal(
    "connections-of-client",
    b"421 4.7.0 Too many connections from your address; close some, or send several messages in one\r\n",
)
TOO_MANY_OF_NETWORK = Refusal(
    "connections-of-network", b"421 4.7.0 Too many connections from your network; try again in a minute\r\n"
)
TOO_OFTEN = Refusal(
    "rate-of-client",
    b"421 4.7.0 Your address connects too often; send several messages in one connection, or wait a minute\r\n",
)
TOO_OFTEN_OF_NETWORK = Refusal(
    "rate-of-network", b"421 4.7.0 Your network connects too often; try again in a minute\r\n"
)
DENIED = Refusal(
    "denied", b"554 5.7.1 Your address may not send mail here; ask our postmaster, by another way, to change that\r\n"
)
TALKED_EARLY = Refusal(
    "early-talker", b"554 5.5.1 You spoke before our greeting; wait for 220, as RFC 5321 3.1 says, and try again\r\n"
)
