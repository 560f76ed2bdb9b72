"""A listener that hands every client to the one smtpd or smtpdspawn it knows, and counts in the file `finished` who is through."""

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


def main() -> int:
    """Serve until told to stop."""
    start = begin(roster.LISTENER)
    key = start.settings[roster.SESSION_KEY]
    finished = os.open(Path(start.text("fake.folder")) / "finished", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    loop = Loop()
    sessions = 0

    def accept(listening: socket.socket) -> None:
        nonlocal sessions
        try:
            client, (address, port, *_) = listening.accept()
        except BlockingIOError:
            return
        with client:
            sessions += 1
            session, ip = b"s%d" % sessions, address.encode()
            token = tickets.session_token(key, session, ip)
            for taker in [*peers.all_to("smtpd"), *peers.all_to("smtpdspawn")]:
                try:
                    taker.send(m.Accepted(session, ip, port, b"smtp", token), (client.fileno(),))
                except ChannelClosed:
                    return

    def listen(_service: str, _address: str, descriptor: int) -> None:
        listening = socket.socket(fileno=descriptor)
        listening.setblocking(False)
        loop.add_reader(descriptor, lambda: accept(listening))

    def over(channel: Channel, packet: Packet) -> None:
        message = packet[0]
        if isinstance(message, m.Finished):
            os.write(finished, message.session + b"\n")
        else:
            channel.send(m.Retired())

    peers = Peers(roster.LISTENER, start, loop, {"smtpd": over, "smtpdspawn": over}, sockets=listen)
    peers.ready()
    loop.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
