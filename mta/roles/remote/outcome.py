"""What became of a recipient, or of the way to a host: an action, a status (RFC 3463), words, and who said them.

A reader would otherwise get wrong: a reply without an enhanced status gets X.0.0 of its class and not more. What a host
meant by a bare 550 nobody knows, and a status that we made up would be believed.
"""

import re
from typing import Final, NamedTuple

from mta.smtp.client import Reply
from mta.vocabulary import Action

MAX_WORDS = 900  # octets of a diagnostic code
_UNPRINTABLE: Final = re.compile(rb"[^ -~]+")


class Outcome(NamedTuple):
    """One result."""

    action: Action
    status: bytes
    words: bytes = b""
    trouble: bool = False  # the host, not the message, was at fault
    in_doubt: bool = False  # it has all of the content and did not answer: see `transaction`
    notifies: bool = False  # it takes over the sender's wishes about notifications (RFC 3461 5.2.1)

    @property
    def is_delay(self) -> bool:
        """Trying again may help."""
        return self.action is Action.DELAYED


def of_reply(reply: Reply, *, trouble: bool = False) -> Outcome:
    """What a negative reply means for whom it is about."""
    action = Action.FAILED if reply.is_permanent else Action.DELAYED
    return Outcome(action, reply.status or b"%d.0.0" % (reply.code // 100), words_of(reply), trouble=trouble)


def words_of(reply: Reply) -> bytes:
    """The reply in one line of printable ASCII."""
    return printable(b"%d %b" % (reply.code, reply.text))


def printable(words: bytes) -> bytes:
    """*words* in one line; whatever is not printable ASCII, line ends among it, becomes one blank or question mark."""
    return _UNPRINTABLE.sub(lambda found: b" " if found[0] in (b"\n", b"\t") else b"?", words)[:MAX_WORDS].rstrip()


def delayed(status: bytes, words: bytes, *, trouble: bool = True, in_doubt: bool = False) -> Outcome:
    """Later, perhaps."""
    return Outcome(Action.DELAYED, status, printable(words), trouble=trouble, in_doubt=in_doubt)


def failed(status: bytes, words: bytes) -> Outcome:
    """Never."""
    return Outcome(Action.FAILED, status, printable(words))
