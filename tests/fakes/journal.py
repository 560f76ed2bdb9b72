"""A journal that writes each event as a line of repr into the file `events`."""

import sys
from pathlib import Path

from mta import roster
from mta.wire import messages as m
from mta.wire.channel import Channel, Packet
from mta.wire.control import Peers, begin
from mta.wire.loop import Loop


def main() -> int:
    """Serve until told to stop."""
    start = begin(roster.JOURNAL)
    loop = Loop()
    path = Path(start.text("fake.folder")) / "events"
    with path.open("a", buffering=1) as file:

        def write(channel: Channel, packet: Packet) -> None:
            event = packet[0]
            assert isinstance(event, m.Event)
            pairs = dict(zip(event.pairs[::2], event.pairs[1::2], strict=True))
            file.write(f"{(channel.peer, event.name, pairs)!r}\n")

        peers = Peers(roster.JOURNAL, start, loop, {"smtpd": write, "tls": write, "tlsspawn": write})
        peers.ready()
        loop.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
