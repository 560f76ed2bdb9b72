"""The progress file: one line for each outcome, appended by the scheduler and never rewritten.

A reader would otherwise get wrong: a lost or torn line is legal. It repeats one delivery, which lands on the same file
name; so the file is never synced, and a reader passes over what it cannot read instead of doubting the rest.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from mta.vocabulary import Action
from mta.wire.netstring import WireError, pack, unpack

MAX_PROGRESS = (
    64 << 20
)  # Octets read back; more outcomes than the recipients of one message have in a queue's lifetime.
MAX_DIAGNOSTIC = 1000  # Octets of another's words that are kept.

_BOUNCED = b"bounced"
_CONTROLS = bytes(range(32)) + b"\x7f"
_BLANKED = bytes.maketrans(_CONTROLS, b" " * len(_CONTROLS))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one final recipient in one attempt."""

    index: int  # which recipient of the envelope
    final_recipient: bytes
    action: Action
    status: bytes
    attempt: int
    moment: int  # seconds since 1970
    diagnostic_code: bytes
    # When this decides the recipient: how many final recipients it came to. A reader believes it only if it knows them all,
    # so a line lost to a crash makes a recipient undecided, and never decided.
    completes: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """All that is known of a message's attempts."""

    outcomes: tuple[Outcome, ...] = ()
    bounced: bool = False  # the notification is queued: it must not be sent again
    torn: bool = False  # the last line has no end, so the next must begin with one


def line_of(outcome: Outcome) -> bytes:
    """*outcome* as a line of the file."""
    fields = [
        b"%d" % outcome.index,
        outcome.final_recipient.translate(_BLANKED),
        outcome.action.value,
        outcome.status.translate(_BLANKED),
        b"%d" % outcome.attempt,
        b"%d" % outcome.moment,
        outcome.diagnostic_code[:MAX_DIAGNOSTIC].translate(_BLANKED),
        b"%d" % outcome.completes,
    ]
    return pack(fields) + b"\n"


BOUNCED_LINE = pack([_BOUNCED]) + b"\n"


def parse(octets: bytes) -> Progress:
    """What *octets* of a progress file tell. Never raises: what cannot be read did not happen."""
    lines = octets.split(b"\n")
    bounced = BOUNCED_LINE[:-1] in lines
    return Progress(tuple(_outcomes(lines[:-1])), bounced, torn=bool(lines[-1]))


def _outcomes(lines: list[bytes]) -> Iterator[Outcome]:
    for line in lines:
        try:
            index, final, action, status, attempt, moment, diagnostic, completes = unpack(line)
            yield Outcome(
                int(index), final, Action(action), status, int(attempt), int(moment), diagnostic, int(completes)
            )
        except (WireError, ValueError):
            continue  # Torn by a crash, or the line that says bounced.
