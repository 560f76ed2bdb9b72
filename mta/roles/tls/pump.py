"""One client's conversation under TLS: its socket on one side, plaintext on the other, and little in between.

A reader would otherwise get wrong: whoever does not read is not read for. What one side sent and the other did not take
yet is at most one reading of ours, so a conversation's memory is bounded however slow either side is. And the end travels
like the rest: behind what was said before, first to the one side, then, when that side ended too, to the other.
"""

import contextlib
import os
import select
import socket
import time
from collections.abc import Callable
from typing import Final

from mta.roles.tls.tunnel import Broken, Tunnel
from mta.wire.loop import Loop

MOST: Final = 64 * 1024  # octets read at once
HANDSHAKE_SECONDS: Final = 30.0  # RFC 3207 sets no limit; a client that is not through by then is not going to be
IDLE_SECONDS: Final = 1200.0  # nothing moved either way. Above what smtpd waits for (RFC 5321 4.5.3.2): it ends first
LINGER_SECONDS: Final = 2.0  # how long we listen to a client we hung up on, lest a reset overtakes our last words


class Pump:
    """One conversation. *secured* is told once, with the plaintext end to hand on, or *failed* once; then *over*."""

    def __init__(
        self, loop: Loop, client: socket.socket, tunnel: Tunnel, now: float, *,
        secured: Callable[["Pump", socket.socket], None],
        failed: Callable[["Pump", str], None],
        over: Callable[["Pump"], None],
    ) -> None:  # fmt: skip
        self.tunnel = tunnel
        self.touched = now  # when something last moved
        self.deadline = now + HANDSHAKE_SECONDS
        self._loop, self._client = loop, client
        self._plain: socket.socket | None = None
        self._told_secured, self._told_failed, self._told_over = secured, failed, over
        self._to_client = b""
        self._to_plain = b""
        self._client_ended = False  # it will say no more
        self._closing = False  # we said all we will say, or have no more to say once `_to_client` is sent
        self._said_end = False
        self._over = False
        client.setblocking(False)
        self._regulate()

    def expire(self, now: float) -> None:
        """Look at the clock."""
        if now > self.deadline or now - self.touched > IDLE_SECONDS:
            self.end("too slow")

    def end(self, why: str = "the client went away") -> None:
        """Hang up on both sides at once."""
        if self._over:
            return
        self._over = True
        self._fail(why)
        self._drop_plain()
        self._loop.unwatch(self._client.fileno())
        self._client.close()
        self._told_over(self)

    # --- the client's side

    def _client_ready(self, events: int) -> None:
        self.touched = time.monotonic()
        try:
            if events & select.EPOLLOUT:
                self._flush()
            if events & ~select.EPOLLOUT and not self._over:
                self._hear_client(self._client.recv(MOST))
        except OSError as error:
            if not isinstance(error, BlockingIOError):
                self.end(os.strerror(error.errno or 0))  # A reset, mostly: nobody is there any more.
        self._regulate()

    def _hear_client(self, octets: bytes) -> None:
        if not octets:
            self._end_of_client()
            return
        if self._closing or self._client_ended:
            return  # Listened to only so that it hears us out.
        was_secured = self.tunnel.secured
        try:
            plaintext = self.tunnel.receive(octets)
        except Broken as broken:
            self._to_client += self.tunnel.take()
            self._fail(str(broken))
            self._drop_plain()
            self._close_behind()
            return
        if self.tunnel.secured and not was_secured:
            self._begin()
        self._to_client += self.tunnel.take()
        self._flush()
        if plaintext:
            self._to_plain += plaintext
        if self.tunnel.ended:
            self._client_ended = True
        self._flush_plain()

    def _end_of_client(self) -> None:
        self._client_ended = True
        if self._said_end or not (self._closing or self._plain):
            self.end()
        else:
            self._flush_plain()

    def _begin(self) -> None:
        """The handshake is done."""
        self.deadline = float("inf")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        self._plain = ours
        with theirs:
            self._told_secured(self, theirs)
        self._told_failed = _ignore

    def _flush(self) -> None:
        """Send the client what it takes; when all is sent and we are closing, tell it the end."""
        if self._to_client:
            with contextlib.suppress(BlockingIOError):
                self._to_client = self._to_client[self._client.send(self._to_client) :]
        if self._closing and not self._to_client and not self._said_end:
            self._said_end = True
            self._client.shutdown(socket.SHUT_WR)
            self.deadline = time.monotonic() + LINGER_SECONDS
            if self._client_ended:
                self.end()

    def _close_behind(self) -> None:
        """Nothing more for the client than what is to be sent already."""
        self._closing = True
        self.deadline = time.monotonic() + HANDSHAKE_SECONDS
        self._flush()

    # --- the plaintext's side

    def _plain_ready(self, events: int) -> None:
        self.touched = time.monotonic()
        try:
            if events & select.EPOLLOUT:
                self._flush_plain()
            if events & ~select.EPOLLOUT and self._plain is not None and not self._to_client:
                self._hear_plain(_receive(self._plain))
        except OSError as error:
            if not isinstance(error, BlockingIOError):
                self.end(os.strerror(error.errno or 0))
        self._regulate()

    def _hear_plain(self, octets: bytes) -> None:
        try:
            if octets:
                self.tunnel.send(octets)
            else:
                self.tunnel.close()
        except Broken:
            self.end()
            return
        self._to_client += self.tunnel.take()
        if octets:
            self._flush()
        else:
            self._drop_plain()
            self._close_behind()

    def _flush_plain(self) -> None:
        if self._plain is None:
            return
        try:
            if self._to_plain:
                self._to_plain = self._to_plain[self._plain.send(self._to_plain) :]
            if self._client_ended and not self._to_plain:
                self._plain.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            pass
        except OSError:
            self._to_plain = b""  # It hung up. What it said before may still be on its way to the client.

    def _drop_plain(self) -> None:
        if self._plain is not None:
            self._loop.unwatch(self._plain.fileno())
            self._plain.close()
            self._plain = None
        self._to_plain = b""

    def _fail(self, why: str) -> None:
        told, self._told_failed = self._told_failed, _ignore
        told(self, why)

    def _regulate(self) -> None:
        """Wait for what we have room for."""
        if self._over:
            return
        reading = not self._to_plain and len(self._to_client) < MOST and not self._client_ended
        reading = reading and self._closing is self._said_end  # No use in hearing who has not heard us out.
        wanted = (select.EPOLLIN if reading else 0) | (select.EPOLLOUT if self._to_client else 0)
        self._loop.watch(self._client.fileno(), wanted, self._client_ready)
        if self._plain is not None:
            wanted = (0 if self._to_client else select.EPOLLIN) | (select.EPOLLOUT if self._to_plain else 0)
            self._loop.watch(self._plain.fileno(), wanted, self._plain_ready)


def _receive(plain: socket.socket) -> bytes:
    try:
        return plain.recv(MOST)
    except ConnectionError:
        return b""  # It ended without hearing everything that the client said, and has said what it wanted.


def _ignore(_pump: Pump, _why: str) -> None:
    """It was told already."""
