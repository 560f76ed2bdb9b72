"""The progress file: one line for each outcome, appended by the scheduler and never rewritten.

A reader would otherwise get wrong: a lost or torn line is legal. It repeats one delivery, which lands on the same file
name; so the file is not synced but for an operator's orders, and a reader passes over what it cannot read instead of
doubting the rest.
"""

import re
from collections.abc import Iterator

from mta.record import dataclass
from mta.vocabulary import Action
from mta.wire.netstring import WireError, pack, unpack

MAX_PROGRESS = (
    64 << 20
)  # Octets read back; more outcomes than the recipients of one message have in a queue's lifetime.
MAX_DIAGNOSTIC = 1000  # Octets of another's words that are kept.

_REPORTED = b"reported"
_HELD, _RELEASED, _REMOVED = b"held", b"released", b"removed"
_DELAY_REPORTED = b"delay-reported"
_BOUNCED = b"bounced"  # what the version before this one wrote, once all was decided, for all that had failed
_OUTCOME_FIELDS = (8, 10)  # the last two only where another host said something
MAX_REMOTE_MTA = 300  # octets: a domain (RFC 5321 4.5.3.1.2) and an address
_NUMBER = re.compile(rb"[0-9]{1,18}\Z")  # int() raises for one of some thousand digits
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
    remote_mta: bytes = b""  # the host that said it
    notifies: bool = False  # it took over the sender's wishes about notifications (RFC 3461 5.2.1)


@dataclass(frozen=True, slots=True)
class Progress:
    """All that is known of a message's attempts."""

    outcomes: tuple[Outcome, ...] = ()
    reported: int = 0  # what was decided in attempts up to this one is in a notification: not to be told again
    delay_reported: bool = False  # the sender knows that it takes long: once is enough
    torn: bool = False  # the last line has no end, so the next must begin with one
    held: bytes = b""  # why it is not tried until somebody releases it, or empty
    removed: bool = False  # an operator took it out: nobody is owed anything, and nobody is told


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
    if outcome.remote_mta or outcome.notifies:
        fields += [outcome.remote_mta[:MAX_REMOTE_MTA].translate(_BLANKED), b"%d" % outcome.notifies]
    return pack(fields) + b"\n"


DELAY_REPORTED_LINE = pack([_DELAY_REPORTED]) + b"\n"


RELEASED_LINE = pack([_RELEASED]) + b"\n"
REMOVED_LINE = pack([_REMOVED]) + b"\n"


def held_line(why: bytes) -> bytes:
    """The line that says that the message waits for somebody to release it, and *why* (a word)."""
    return pack([_HELD, why]) + b"\n"


def reported_line(attempt: int) -> bytes:
    """The line that says that the sender knows what was decided in attempts up to *attempt*."""
    return pack([_REPORTED, b"%d" % attempt]) + b"\n"


def parse(octets: bytes) -> Progress:
    """What *octets* of a progress file tell. Never raises: what cannot be read did not happen."""
    *lines, rest = octets.split(b"\n")
    rows = list(_rows(lines))
    outcomes = tuple(_outcomes(rows))
    reported = [int(row[1]) for row in rows if row[0] == _REPORTED and len(row) == 2 and _NUMBER.match(row[1])]
    if [_BOUNCED] in rows:
        reported += [outcome.attempt for outcome in outcomes]
    holds = [row for row in rows if row[0] in (_HELD, _RELEASED)][-1:]
    held = holds[0][1] if holds and holds[0][0] == _HELD and len(holds[0]) == 2 else b""
    return Progress(outcomes, max(reported, default=0), [_DELAY_REPORTED] in rows, bool(rest), held, [_REMOVED] in rows)


def _rows(lines: list[bytes]) -> Iterator[list[bytes]]:
    for line in lines:
        try:
            fields = unpack(line)
        except WireError:
            continue  # Torn by a crash.
        if fields:
            yield fields


def _outcomes(rows: list[list[bytes]]) -> Iterator[Outcome]:
    for row in rows:
        if len(row) not in _OUTCOME_FIELDS:
            continue
        index, final, action, status, attempt, moment, diagnostic, completes, *by = row
        remote_mta, notifies = by or (b"", b"0")
        try:
            yield Outcome(
                int(index), final, Action(action), status, int(attempt), int(moment), diagnostic, int(completes),
                remote_mta, notifies == b"1",
            )  # fmt: skip
        except ValueError:
            continue  # Whole netstrings and no outcome: what is left of two lines that a crash made one.
