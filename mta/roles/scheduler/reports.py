"""Who must be told what became of a message: the sender's own wishes (NOTIFY, RFC 3461 4.1) against what is known of it.

A reader would otherwise get wrong: a stranger who said nothing hears of failures only. He could be told of delays too
(RFC 3461 4.1 lets us choose), but nobody asked for that mail, and a reverse-path may be forged. A sender of ours is told.
"""

import collections
from collections.abc import Iterator, Mapping

from mta.roles.scheduler.attempt import Attempt, Result, Target
from mta.spool.envelope import Generation, Recipient
from mta.spool.progress import Outcome
from mta.vocabulary import Action

DELAY_SECONDS = 4 * 3600.0  # After so long who wants to hears that his message is delayed, once; 0: nobody.

_UNTRIED = Result(Action.DELAYED, b"4.3.0", b"it could not be tried yet")
_SUCCESS = frozenset({Action.DELIVERED, Action.RELAYED})


def due(attempt: Attempt, now: float, delay: float = DELAY_SECONDS, *, is_ours: bool = False) -> list[Outcome]:
    """What the sender wants to hear and was not told yet. *is_ours*: one of our own sent it."""
    found = [outcome for outcome in attempt.failed if _wants(attempt, outcome.index, b"FAILURE")]
    if attempt.envelope.generation is Generation.ORDINARY and (is_ours or attempt.asked_to_notify):
        # A null reverse-path wants nothing; the postmaster hears of its failures and of nothing else (RFC 3461 6.1).
        found += _successes(attempt)
        if delay and not attempt.delay_reported and now - attempt.envelope.arrival >= delay:
            found += _delays(attempt, int(now), is_ours=is_ours)
    return found


def wants_failure(recipient: Recipient) -> bool:
    """Does the sender hear of it when mail for *recipient* fails?"""
    return not recipient.options or _asked(recipient, b"FAILURE")


def _wants(attempt: Attempt, index: int, what: bytes) -> bool:
    recipient = attempt.envelope.recipients[index]
    return what == b"FAILURE" if not recipient.options else _asked(recipient, what)


def _asked(recipient: Recipient, what: bytes) -> bool:
    notify = recipient.option(b"NOTIFY").upper()
    return what in notify.split(b",") if notify else what == b"FAILURE"


def _successes(attempt: Attempt) -> Iterator[Outcome]:
    """Recipients that are decided and had at least one copy delivered.

    A copy that went to a host which notifies the sender itself is not told of (RFC 3461 5.2.1): he would hear of it twice.
    Named is the address that the sender wrote to, never the mailboxes behind it: else anybody could have an alias taken
    apart by asking for a success notification (RFC 3461 5.2.7.4 treats such addresses like lists).
    """
    decided = _by_recipient(attempt.decided)
    for index, number in sorted(attempt.complete.items()):
        if number <= attempt.reported or not _wants(attempt, index, b"SUCCESS"):
            continue
        outcomes = decided[index]
        good = [outcome for outcome in outcomes if outcome.action in _SUCCESS]
        if not all(outcome.notifies for outcome in good):  # So there are some.
            action = good[0].action if len(outcomes) == 1 else Action.EXPANDED  # RFC 3461 5.2.7.3
            forward_path = attempt.envelope.recipients[index].forward_path
            said_by = _named(good[0].final_recipient, forward_path, good[0].remote_mta)
            yield Outcome(index, forward_path, action, good[0].status, number, good[0].moment, b"", remote_mta=said_by)


def _delays(attempt: Attempt, now: int, *, is_ours: bool) -> Iterator[Outcome]:
    delayed: dict[int, tuple[bytes, Result]] = {}
    for (index, final), reason in attempt.delayed.items():
        delayed.setdefault(index, (final, reason))
    for index in attempt.undecided:
        said_nothing = not attempt.envelope.recipients[index].option(b"NOTIFY")
        if not (is_ours if said_nothing else _wants(attempt, index, b"DELAY")):
            continue
        forward_path = attempt.envelope.recipients[index].forward_path
        final, reason = delayed.get(index, (b"", _UNTRIED))
        said_by = _named(final, forward_path, reason.remote_mta)
        # One line for the address written to; which of the mailboxes behind it has trouble is not for a stranger to know.
        yield Outcome(
            index, forward_path, Action.DELAYED, reason.status, attempt.number, now, reason.diagnostic_code,
            remote_mta=said_by,
        )  # fmt: skip


def _named(final: bytes, forward_path: bytes, remote_mta: bytes) -> bytes:
    """*remote_mta*, but not when it would tell the sender where an address of ours leads."""
    return remote_mta if final == forward_path else b""


def _by_recipient(decided: Mapping[Target, Outcome]) -> dict[int, list[Outcome]]:
    """What is *decided* of each recipient: once for all of them, since there may be ten thousand."""
    found: dict[int, list[Outcome]] = collections.defaultdict(list)
    for (index, _), each in decided.items():
        found[index].append(each)
    return found
