"""Wiring of cleaner: open the three folders, lose the rights, serve."""

import sys

from mta import roster, sandbox
from mta.roles.cleaner.broom import clean
from mta.spool.layout import CONTENT, ENVELOPE, PROGRESS, Folder
from mta.vocabulary import is_queue_id
from mta.wire import control
from mta.wire import messages as m
from mta.wire.channel import Channel, Packet
from mta.wire.loop import Loop


class Cleaner:
    """Answers the scheduler."""

    def __init__(self, content: Folder, envelope: Folder, progress: Folder) -> None:
        self._in_order = (envelope, progress, content)

    def take(self, channel: Channel, packet: Packet) -> None:
        """Some messages are finished."""
        message = packet[0]
        assert isinstance(message, m.Clean)
        if not all(map(is_queue_id, message.queue_ids)):
            channel.close()
            return
        gone = [queue_id for queue_id in message.queue_ids if clean(queue_id, self._in_order)]
        if gone:
            channel.send(m.Cleaned(True, tuple(gone)))
        if len(gone) < len(message.queue_ids):
            channel.send(m.Cleaned(False, tuple(set(message.queue_ids).difference(gone))))


def main() -> int:
    """Serve until told to stop; answers the exit status."""
    role = roster.CLEANER
    start = control.begin(role)
    state = start.text("state")
    folders = [Folder.open(state, part) for part in (CONTENT, ENVELOPE, PROGRESS)]
    sandbox.enter(role, start, keep=[folder.descriptor for folder in folders])

    loop = Loop()
    cleaner = Cleaner(*folders)
    peers = control.Peers(role, start, loop, {"scheduler": cleaner.take})
    peers.ready()
    loop.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
