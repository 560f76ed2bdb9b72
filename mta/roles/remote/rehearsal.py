"""Messages that the nursery sends to itself before the first remote is forked, so that remotes are born knowing how it is done.

A reader would otherwise get wrong: this is for speed alone. What Python learns when it does a thing first - message codecs,
specialised bytecode, caches - each remote would learn anew, and many live for one message.
"""

import contextlib
import gc
import os
import socket
from typing import Final

from mta.roles.remote.__main__ import Remote
from mta.roles.remote.security import Contexts
from mta.wire import messages as m
from mta.wire import permits
from mta.wire.channel import Channel, ChannelClosed, Packet, pair
from mta.wire.language import prepare
from mta.wire.loop import Loop

TIMES: Final = 20  # after which Python 3.11 has specialised what it will
_ROUNDS: Final = 200  # of a loop, in which one has long ended
_HOST: Final = "127.0.0.1"
_CONTENT: Final = b"Subject: rehearsal\r\n\r\n" + b"x" * 76 + b"\r\n"
_REPLIES: Final = {
    b"EHLO": b"250-rehearsal.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 10000000\r\n250 ENHANCEDSTATUSCODES\r\n",
    b"DATA": b"354 go\r\n", b"QUIT": b"221 2.0.0 bye\r\n",
}  # fmt: skip


def rehearse(contexts: Contexts) -> None:
    """Deliver some messages to a host of our own. Where this machine has no loopback there is no rehearsal, and no harm.

    Before the walls: afterwards nobody here may listen.
    """
    for client, server in (("remotespawn", "remote"), ("remote", "resolver"), ("remote", "fetcher")):
        prepare(permits.readable_by_server(client, server) | permits.readable_by_client(client, server))
    with contextlib.suppress(OSError, ChannelClosed), socket.create_server((_HOST, 0)) as listening:
        listening.setblocking(False)
        for _ in range(TIMES):
            _Rehearsal(contexts, listening).hold()
    gc.collect()  # What was closed by nobody closes now, and not some day, when its descriptor is somebody else's.


class _Rehearsal:
    """One remote, and all that it speaks with."""

    def __init__(self, contexts: Contexts, listening: socket.socket) -> None:
        self._loop, self._listening = Loop(), listening
        ours, theirs = pair()
        own = Channel(theirs, "remotespawn", permits.readable_by_server("remotespawn", "remote"))
        self._remote = Remote(self._loop, own, contexts)
        self._spawner = Channel(ours, "remote", permits.readable_by_client("remotespawn", "remote"))
        self._peers = {name: self._introduce(name) for name in ("resolver", "fetcher")}
        self._client: socket.socket | None = None
        self._is_done = False

    def _introduce(self, name: str) -> Channel:
        ours, theirs = pair()
        with theirs:
            self._spawner.send(m.Peer(name.encode(), 0, serving=False), (theirs.fileno(),))
        return Channel(ours, "remote", permits.readable_by_server("remote", name))

    def hold(self) -> bool:
        """From the first word to the end of the remote. Did it come there?

        Raises:
            OSError: there are no descriptors, or no loopback.
        """
        settings = {b"host.name": b"here.test", b"outbound.allow_loopback": b"true"}
        settings[b"outbound.port"] = b"%d" % self._listening.getsockname()[1]
        pairs = tuple(part for each in settings.items() for part in each)
        self._spawner.send(m.Destination(b"rehearsal.test", b"", b"", False, b"", b"", b"", pairs))
        content = os.memfd_create("rehearsal", os.MFD_CLOEXEC)
        os.write(content, _CONTENT)
        self._spawner.send(m.Transmit(1, b"a@here.test", b"", len(_CONTENT), 1), (content,))
        os.close(content)
        self._spawner.send(m.SendRecipient(1, 0, b"b@rehearsal.test", b""))
        for _ in range(_ROUNDS):
            if self._is_done:
                break
            self._loop.run_once(0.001)
            self._answer()
        self._end()
        return self._is_done

    def _answer(self) -> None:
        for channel in (*self._peers.values(), self._spawner):
            for packet in channel.receive():
                self._heed(channel, packet)
        if self._client is None:
            with contextlib.suppress(BlockingIOError):
                self._client, _ = self._listening.accept()
                self._client.setblocking(False)
                self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._client.send(b"220 rehearsal.test ESMTP\r\n")
            return
        with contextlib.suppress(BlockingIOError):
            for line in self._client.recv(4096).splitlines():
                verb = line[:4]
                if verb in _REPLIES or verb in (b"MAIL", b"RCPT") or line == b".":
                    self._client.send(_REPLIES.get(verb, b"250 2.0.0 ok\r\n"))

    def _heed(self, channel: Channel, packet: Packet) -> None:
        message = packet[0]
        if isinstance(message, m.LookUp):
            records = (_HOST.encode(),) if message.kind == b"A" else ()
            channel.send(m.Found(message.tag, b"answer" if records else b"none", False, records))
        elif isinstance(message, m.Fetch):
            channel.send(m.Fetched(message.tag, b"none", 0, b"", ()))
        elif isinstance(message, m.SendDone):
            self._is_done = True

    def _end(self) -> None:
        for channel in (*self._peers.values(), self._spawner):
            channel.close()
        for _ in range(3):
            self._loop.run_once(0.0)
        self._remote.leave()
        if self._client is not None:
            self._client.close()
