"""A listener that hands every client to the one taker it knows, and counts in the file `finished` who is through."""

import os
import socket
import sys
from pathlib import Path

from mta import roster
from mta.wire import messages as m
from mta.wire import tickets
from mta.wire.channel import Channel, ChannelClosed, Packet
from mta.wire.control import Peers, begin
from mta.wire.loop import Loop

TAKERS = ("smtpd", "smtpdspawn", "submissiond", "submissionspawn")


def main() -> int:
    """Serve until told to stop."""
    start = begin(roster.LISTENER)
    key = start.settings[roster.SESSION_KEY]
    finished = os.open(Path(start.text("fake.folder")) / "finished", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    loop = Loop()
    sessions = 0

    def accept(service: str, listening: socket.socket) -> None:
        nonlocal sessions
        try:
            client, (address, port, *_) = listening.accept()
        except BlockingIOError:
            return
        with client:
            sessions += 1
            session, ip = b"s%d" % sessions, address.encode()
            token = tickets.session_token(key, session, ip)
            for taker in [channel for name in TAKERS for channel in peers.all_to(name)]:
                try:
                    taker.send(m.Accepted(session, ip, port, service.encode(), token), (client.fileno(),))
                except ChannelClosed:
                    return

    def listen(service: str, _address: str, descriptor: int) -> None:
        listening = socket.socket(fileno=descriptor)
        listening.setblocking(False)
        loop.add_reader(descriptor, lambda: accept(service, listening))

    def over(channel: Channel, packet: Packet) -> None:
        message = packet[0]
        if isinstance(message, m.Finished):
            os.write(finished, message.session + b"\n")
        else:
            channel.send(m.Retired())

    peers = Peers(roster.LISTENER, start, loop, dict.fromkeys(TAKERS, over), sockets=listen)
    peers.ready()
    loop.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
