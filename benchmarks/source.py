"""What smtp-source cannot send: many domains in turn, and STARTTLS on every connection. Run as a program of its own.

A reader would otherwise get wrong: it speaks as smtp-source does, one command and one reply at a time, without PIPELINING,
and says QUIT and waits for 221, so that both drivers ask the same of a server.
"""

import argparse
import selectors
import socket
import ssl
import sys
from collections.abc import Callable, Iterator

SENDER = b"sender@client.test"
PATIENCE_SECONDS = 60.0
READ_OCTETS = 64 * 1024
LINE = b"X" * 78 + b"\r\n"


class RefusedError(Exception):
    """The server said something else than it must, or nothing for too long."""


def message(octets: int) -> bytes:
    """Content of about *octets*, with the final dot."""
    header = b"From: <" + SENDER + b">\r\nSubject: performance test\r\n\r\n"
    return header + LINE * (max(0, octets - len(header)) // len(LINE)) + b".\r\n"


class Conversation:
    """One connection, one message."""

    def __init__(self, port: int, recipient: bytes, content: bytes, tls: ssl.SSLContext | None) -> None:
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect_ex(("127.0.0.1", port))
        self._tls, self._heard, self._unsent = tls, b"", b""
        self._shaking = False
        self.wants_write = False
        self._script = self._say(recipient, content)
        self._expected = next(self._script)

    def _say(self, recipient: bytes, content: bytes) -> Iterator[bytes]:
        """Each step: the reply code that is awaited; what is said stands in `_unsent`."""
        yield b"220"
        yield self._send(b"EHLO client.test\r\n", b"250")
        if self._tls is not None:
            yield self._send(b"STARTTLS\r\n", b"220")
            self.socket = self._tls.wrap_socket(self.socket, do_handshake_on_connect=False)
            self._shaking = True
            yield self._send(b"EHLO client.test\r\n", b"250")
        yield self._send(b"MAIL FROM:<" + SENDER + b">\r\n", b"250")
        yield self._send(b"RCPT TO:<" + recipient + b">\r\n", b"250")
        yield self._send(b"DATA\r\n", b"354")
        yield self._send(content, b"250")
        yield self._send(b"QUIT\r\n", b"221")

    def _send(self, octets: bytes, expected: bytes) -> bytes:
        self._unsent = octets
        return expected

    def go_on(self) -> bool:
        """Do what can be done now; is the conversation over?

        Raises:
            RefusedError: it went wrong.
        """
        try:
            while True:
                if self._shaking:
                    assert isinstance(self.socket, ssl.SSLSocket)
                    self.socket.do_handshake()
                    self._shaking = False
                while self._unsent:
                    self._unsent = self._unsent[self.socket.send(self._unsent) :]
                self.wants_write = False
                if not self._hear():
                    return True
        except (BlockingIOError, ssl.SSLWantReadError):
            self.wants_write = bool(self._unsent) and not self._shaking
            return False
        except ssl.SSLWantWriteError:
            self.wants_write = True
            return False
        except OSError as error:
            raise RefusedError(f"lost while waiting for {self._expected!r}: {error}") from error

    def _hear(self) -> bool:
        """Read one reply and take the next step; False when there is none."""
        octets = self.socket.recv(READ_OCTETS)
        if not octets:
            raise RefusedError(f"hung up while {self._expected!r} was awaited")
        self._heard += octets
        last = self._heard[self._heard.rfind(b"\n", 0, -1) + 1 :]
        if not last.endswith(b"\n") or last[3:4] == b"-":
            return True  # more of it is to come
        if not last.startswith(self._expected):
            raise RefusedError(f"{self._heard.decode(errors='replace')!r} instead of {self._expected!r}")
        self._heard = b""
        following = next(self._script, None)
        if following is None:
            self.socket.close()
            return False
        self._expected = following
        return True


def run(start: Callable[[int], Conversation], messages: int, connections: int) -> None:
    """*messages* conversations, *connections* at once.

    Raises:
        RefusedError: one went wrong.
    """
    with selectors.DefaultSelector() as selector:
        begun = alive = 0
        watched: dict[int, int] = {}
        while begun < messages or alive:
            while begun < messages and alive < connections:
                each = start(begun)
                begun, alive = begun + 1, alive + 1
                # Until it is connected there is nothing to read, so waiting to read waits for the greeting.
                selector.register(each.socket.fileno(), selectors.EVENT_READ, each)
            ready = selector.select(PATIENCE_SECONDS)
            if not ready:
                raise RefusedError(f"nothing for {PATIENCE_SECONDS:.0f} seconds")
            for key, _ in ready:
                conversation: Conversation = key.data
                descriptor = key.fd
                if conversation.socket.fileno() != descriptor:
                    continue
                over = conversation.go_on()
                if over:
                    selector.unregister(descriptor)
                    watched.pop(descriptor, None)
                    alive -= 1
                    continue
                events = selectors.EVENT_READ | (selectors.EVENT_WRITE if conversation.wants_write else 0)
                if watched.get(descriptor, selectors.EVENT_READ) != events:
                    watched[descriptor] = events
                    selector.modify(descriptor, events, conversation)


def main() -> int:
    """Send; exit status 1 and one line when something went wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.source", description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--octets", type=int, default=4096)
    parser.add_argument("--domains", nargs="+", default=["bench.test"])
    parser.add_argument("--mailboxes", type=int, default=100, help="of each domain: 1user@, 2user@ …")
    parser.add_argument("--tls", action="store_true", help="STARTTLS on every connection, without resumption")
    given = parser.parse_args()
    content = message(given.octets)
    tls = None
    if given.tls:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE

    def start(number: int) -> Conversation:
        domain = given.domains[number % len(given.domains)]
        recipient = f"{number // len(given.domains) % given.mailboxes + 1}user@{domain}"
        return Conversation(given.port, recipient.encode(), content, tls)

    try:
        run(start, given.messages, given.connections)
    except RefusedError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
