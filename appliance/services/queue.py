"""The queue of the running appliance: what waits, why, and what an operator may do about it. Asked of scheduler.

A reader would otherwise get wrong: this is not the database. What is said here is true at the moment, and what is done is
done at once; no snapshot is published and nothing is written to the audit log but what the caller writes.
"""

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.errors import Invalid, NotFound, Unable
from mta.wire import messages as m
from mta.wire import permits
from mta.wire.channel import Channel, ChannelClosed

MAX_LIST = 1000  # messages in one answer
LONGEST_VALUE, LONGEST_ID = 1000, 64  # octets of a field of the wire
CHANGES = ("hold", "release", "retry", "remove", "flush")


@dataclass(frozen=True, slots=True)
class Which:
    """Which messages are meant: one by its queue id, those to a domain, those of a sender (address or who logged in), all."""

    by: str = "all"
    value: str = ""

    @classmethod
    def of(
        cls,
        queue_id: str | None = None,
        domain: str | None = None,
        sender: str | None = None,
        *,
        everything: bool = False,
    ) -> "Which":
        """The one of the four that is given.

        Raises:
            Invalid: none of them, or several.
        """
        given = [(by, value) for by, value in (("id", queue_id), ("domain", domain), ("sender", sender)) if value]
        if len(given) + everything != 1:
            raise Invalid("name a queue id, a domain, a sender, or all; and only one of these", field="which")
        return cls(*given[0]) if given else cls()


@dataclass(frozen=True, slots=True)
class Listing:
    """Messages, oldest first; *more*: there are others behind the last of them."""

    messages: list[dict[str, str]]
    more: bool


# An order -> what is said of each message, and of the end. At the supervisor's socket, or over web's channel to scheduler.
Way = Callable[[str, Which, str, int], Iterator[dict[str, str]]]


def at(state: Path) -> Way:
    """By the socket of the appliance whose state folder is *state*: for root, and who started it."""
    return lambda what, which, after, count: _ask(state, what, which, after, count)


def list_messages(way: Way, which: Which, *, after: str = "", limit: int = MAX_LIST) -> Listing:
    """What waits, from behind the queue id *after* on.

    Raises:
        Unable: the appliance does not run, or not now.
    """
    *messages, end = way("list", which, after, min(limit, MAX_LIST))
    return Listing(messages, more="more" in end)


def show(way: Way, queue_id: str) -> tuple[dict[str, str], list[dict[str, str]]]:
    """One message, and what is known of each of its recipients.

    Raises:
        NotFound: there is no such message (any more).
        Unable: as above.
    """
    *found, _ = way("show", Which("id", queue_id), "", 1)
    if not found:
        raise NotFound(
            f"no message {queue_id} is in the queue; `postern trace --id {queue_id}` tells what became of it"
        )
    return found[0], found[1:]


def change(way: Way, what: str, which: Which) -> int:
    """Do *what* (one of CHANGES) to messages; to how many was it done?

    Raises:
        Unable: as above.
    """
    *_, end = way(what, which, "", 0)
    return int(end.get("done", "0"))


def order_of(tag: int, what: str, which: Which, after: str, count: int) -> m.QueueOrder:
    """The order, as it is said to scheduler.

    Raises:
        NotFound: nothing can be called so, and nothing is.
    """
    value = which.value.encode(errors="replace")
    if len(value) > LONGEST_VALUE or len(after) > LONGEST_ID:
        raise NotFound("there is no such message", code="not_found")
    return m.QueueOrder(tag, what.encode(), which.by.encode(), value, after.encode(errors="replace"), count)


def understood(told: m.QueueTold) -> dict[str, str]:
    """What is said of one message, one recipient, or the end.

    Raises:
        Unable: it was refused.
    """
    pairs = [part.decode(errors="replace") for part in told.pairs]
    said = dict(zip(pairs[::2], pairs[1::2], strict=True))
    if "refused" in said:
        raise Unable(said["refused"], code="refused")
    return said


def _ask(state: Path, what: str, which: Which, after: str, count: int) -> Iterator[dict[str, str]]:
    """The answers of scheduler, the last of them included."""
    order = order_of(1, what, which, after, count)
    channel = _connect(state)
    try:
        channel.send(order)
        is_last = False
        while not is_last:
            told, _ = channel.wait()
            assert isinstance(told, m.QueueTold)
            is_last = told.last
            yield understood(told)
    except ChannelClosed as error:
        raise Unable("the appliance is stopping", code="down") from error
    finally:
        channel.close()


def _connect(state: Path) -> Channel:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        folder = os.open(state / "run", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            sock.connect(f"/proc/self/fd/{folder}/orders")  # A socket's own path may be no longer than 107 octets.
        finally:
            os.close(folder)
    except PermissionError as error:
        sock.close()
        raise Unable("only who started the appliance may do this", code="not-permitted") from error
    except OSError as error:
        sock.close()
        raise Unable("the appliance does not run: `postern up` starts it", code="down") from error
    return Channel(sock, "supervisor", permits.TO_OPERATOR)
