"""What a forwarding asks of a message's header: the enqueuer shows it, we read it, the directory hears yes or no.

A reader would otherwise get wrong: `no` is also the answer where nobody can tell - no subject, a charset that nobody knows, a
header that goes on where we may not look. Then the message stays in the mailbox; it is never lost by that.
"""

import itertools

from mta.message.glance import Header, contains_one, read_header
from mta.record import dataclass
from mta.wire import messages as m
from mta.wire.channel import Channel, ChannelClosed, Packet
from mta.wire.control import Peers

FIRST_TAG = 1 << 50
MAX_WAITING = 500
MAX_HEADER = 60 * 1024 - 1  # Octets that the enqueuer shows; so many, and there may be more.


@dataclass(frozen=True, slots=True)
class _Waiting:
    channel: Channel
    judge: m.Judge


class Reading:
    """All headers that are being looked at."""

    peers: Peers

    def __init__(self) -> None:
        self._tags = itertools.count(FIRST_TAG)
        self._waiting: dict[int, _Waiting] = {}

    def take(self, channel: Channel, packet: Packet) -> None:
        """The directory's question."""
        judge = packet[0]
        if not isinstance(judge, m.Judge):
            channel.close()
            return
        tag = next(self._tags)
        self._waiting[tag] = _Waiting(channel, judge)
        asked = m.OriginalOf(tag, judge.queue_id, judge.authority, False)
        if len(self._waiting) > MAX_WAITING or not self.peers.tell("enqueuer", asked):
            self._answer(tag, b"later")

    def met_original(self, message: m.Original) -> None:
        """The header section; nothing when the message is gone, or the authority was none."""
        waiting = self._waiting.get(message.tag)
        if waiting is not None:
            header = read_header(message.octets, is_whole=len(message.octets) < MAX_HEADER)
            self._answer(message.tag, b"yes" if meets(header, waiting.judge) else b"no")

    def lost(self, channel: Channel) -> None:
        """Without enqueuer nobody can look; without directory nobody wants to know."""
        for tag, waiting in list(self._waiting.items()):
            if waiting.channel is channel:
                del self._waiting[tag]
            elif channel.peer == "enqueuer":
                self._answer(tag, b"later")

    def _answer(self, tag: int, word: bytes) -> None:
        waiting = self._waiting.pop(tag)
        try:
            waiting.channel.send(m.Judged(waiting.judge.tag, word))
        except ChannelClosed:
            return  # The next directory is asked anew.


def meets(header: Header, judge: m.Judge) -> bool:
    """Is all so that *judge* asks of the *header*?"""
    if not header.is_whole and (judge.spam or not header.bodies(b"subject")):
        return False
    if judge.spam and header.is_spam is not (judge.spam == b"yes"):
        return False
    return not judge.subjects or contains_one(header.subject, judge.subjects)
